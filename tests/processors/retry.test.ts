/** retry: a failed task is retried once per epoch. */
import { expect, test } from "vitest";
import { retryProcessor } from "../../processors/retry.ts";
import { aStaleJob, expectRefusal, signal } from "./jobs.ts";
import { testFleet } from "../support/fleet.ts";

test("a retry job that is delivered twice, also at once, starts one more attempt", async () => {
  await using fleet = await testFleet();
  const task = await fleet.spawn(await fleet.operator(), { repository: await fleet.aRepository(), script: "exit-1" });
  const failed = await fleet.runUntil(task.id, "failed");
  const job = { taskId: task.id, epoch: failed.epoch };

  await Promise.allSettled([1, 2, 3].map(() => retryProcessor.handle(fleet.fleet, job, signal)));
  await retryProcessor.handle(fleet.fleet, job, signal);

  expect(await fleet.read(task.id)).toMatchObject({ status: "retrying", attempt: 1, retryCount: 1 });
  expect(await fleet.query("select active from slots")).toEqual([{ active: 1 }]);
});

test("a job for a task in another status changes nothing, and a malformed one is refused", async () => {
  await using fleet = await testFleet();
  const { task, job } = await aStaleJob(fleet);

  await retryProcessor.handle(fleet.fleet, job, signal);
  await retryProcessor.handle(fleet.fleet, { ...job, epoch: task.epoch }, signal);

  expect(await fleet.read(task.id)).toEqual(task);
  await expectRefusal(fleet, retryProcessor, { epoch: 1 }, "taskId");
});
