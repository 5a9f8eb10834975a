/** ci: checks run once per head, and the next step follows at once. */
import { expect, test } from "vitest";
import { ciProcessor } from "../../processors/ci.ts";
import { aStaleJob, expectRefusal, signal } from "./jobs.ts";
import { testFleet } from "../support/fleet.ts";

test("after the checks the task continues without waiting for a sweep", async () => {
  await using fleet = await testFleet({ settings: { reviewers: [] } });
  const task = await fleet.spawn(await fleet.operator(), { repository: await fleet.aRepository() });
  const created = await fleet.runUntil(task.id, "pr_created");
  expect(created.waitingFor).toBe("ci");

  await ciProcessor.handle(fleet.fleet, { taskId: task.id, epoch: created.epoch }, signal);

  expect(await fleet.read(task.id)).toMatchObject({ status: "ready", ciStatus: "passing" });
});

test("a job of another epoch runs nothing, and a malformed one is refused", async () => {
  await using fleet = await testFleet();
  const { task, job } = await aStaleJob(fleet);

  await ciProcessor.handle(fleet.fleet, job, signal);

  expect(await fleet.read(task.id)).toEqual(task);
  expect(await fleet.query("select tries from ci_runs")).toEqual([{ tries: 1 }]);
  await expectRefusal(fleet, ciProcessor, { ...job, epoch: 0 }, "epoch");
});
