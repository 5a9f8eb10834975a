/** spawn: a job may be delivered twice, late, or malformed. */
import { expect, test } from "vitest";
import { spawnProcessor } from "../../processors/spawn.ts";
import { spawnQueue } from "../../queues/spawn.ts";
import { eventually } from "../support/eventually.ts";
import { expectRefusal, failedJob, signal } from "./jobs.ts";
import { testFleet } from "../support/fleet.ts";

test.each(["redis", "postgres"] as const)(
  "on %s a spawn job that is delivered twice starts one attempt",
  async (queues) => {
    await using fleet = await testFleet({ queues });
    const task = await fleet.spawn(await fleet.operator(), { repository: await fleet.aRepository(), script: "hang" });
    const payload = { taskId: task.id, epoch: 1 };
    const { broker } = fleet.fleet;

    await broker.addJobs([
      { queue: spawnQueue, payload },
      { queue: spawnQueue, payload },
      // The same hint under another id, as after an outbox row was recovered.
      { queue: { ...spawnQueue, jobId: () => `again_${task.id}` }, payload },
    ]);
    await broker.consume(spawnQueue, (data, aborted) => spawnProcessor.handle(fleet.fleet, data, aborted));

    const running = await eventually(async () => {
      const seen = await fleet.read(task.id);
      return seen.status === "running" ? seen : undefined;
    });
    await eventually(async () => ((await broker.depth(spawnQueue)).completed === 2 ? true : undefined));
    expect(running).toMatchObject({ attempt: 0, host: "here" });
    const attempts = await fleet.query("select attempt, dispatch_id from attempts");
    expect(attempts).toEqual([{ attempt: 0, dispatch_id: running.dispatchId }]);
    const entries = await fleet.query("select action from audit_log where action = 'spawn.claimed'");
    expect(entries).toHaveLength(1);
  },
);

test.each(["redis", "postgres"] as const)(
  "on %s a malformed job fails once and names the wrong field",
  async (queues) => {
    await using fleet = await testFleet({ queues });

    const failed = await failedJob(fleet, spawnProcessor, { taskId: "no uuid", epoch: 1 });

    expect(failed).toMatchObject({ tries: 1, state: "failed" });
    expect(failed.reason).toContain("taskId");
  },
);

test("a job of another epoch, or for a missing task, changes nothing", async () => {
  await using fleet = await testFleet();
  const task = await fleet.spawn(await fleet.operator(), { repository: await fleet.aRepository() });

  await spawnProcessor.handle(fleet.fleet, { taskId: task.id, epoch: 7 }, signal);
  await spawnProcessor.handle(fleet.fleet, { taskId: crypto.randomUUID(), epoch: 1 }, signal);

  expect(await fleet.read(task.id)).toEqual(task);
});

test("an invalid spawn job is refused by the name of its field", async () => {
  await using fleet = await testFleet();

  await expectRefusal(fleet, spawnProcessor, { taskId: crypto.randomUUID() }, "epoch");
  await expectRefusal(fleet, spawnProcessor, { taskId: crypto.randomUUID(), epoch: 1, prompt: "x" }, "prompt");
});
