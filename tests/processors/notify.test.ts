/** notify: one notification, to one channel, once. */
import { expect, test } from "vitest";
import { notifyProcessor } from "../../processors/notify.ts";
import { stopTask } from "../../src/conductor/tasks/stop.ts";
import { expectRefusal, signal } from "./jobs.ts";
import { testFleet } from "../support/fleet.ts";

test("a job that is delivered twice, also at once, prints one line", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const task = await fleet.spawn(by, { repository: await fleet.aRepository() });
  await stopTask(fleet.fleet, by, task);
  const [row] = await fleet.query("select id, status from fleet_notifications");
  expect(row).toMatchObject({ status: "pending" });
  const job = { notificationId: String(row?.["id"]), epoch: 1 };

  await Promise.all([1, 2, 3].map(() => notifyProcessor.handle(fleet.fleet, job, signal)));
  await notifyProcessor.handle(fleet.fleet, job, signal);

  expect(fleet.lines).toHaveLength(1);
  expect(fleet.lines[0]).toContain("cancelled");
});

test("a job of another epoch sends nothing, and a malformed one is refused", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  await stopTask(fleet.fleet, by, await fleet.spawn(by, { repository: await fleet.aRepository() }));
  const [row] = await fleet.query("select id from fleet_notifications");

  await notifyProcessor.handle(fleet.fleet, { notificationId: String(row?.["id"]), epoch: 2 }, signal);

  expect(fleet.lines).toEqual([]);
  await expectRefusal(fleet, notifyProcessor, { epoch: 1 }, "notificationId");
});
