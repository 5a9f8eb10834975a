/** host: what only the machine with the agent can do, requested through its own queue. */
import { expect, test } from "vitest";
import { hostProcessor } from "../../processors/host.ts";
import { stopTask } from "../../src/conductor/tasks/stop.ts";
import { eventually } from "../support/eventually.ts";
import { expectRefusal, signal } from "./jobs.ts";
import { testFleet } from "../support/fleet.ts";

test("a stop reaches the agent through its host's queue, before any tick, and may arrive twice", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const task = await fleet.spawn(by, { repository: await fleet.aRepository(), script: "hang" });
  const running = await fleet.runUntil(task.id, "running");
  await fleet.processHints();
  expect(fleet.processesOf(task.id)).not.toEqual([]);

  await stopTask(fleet.fleet, by, running);
  await fleet.processHints();
  const { epoch } = await fleet.read(task.id);
  await hostProcessor("here").handle(fleet.fleet, { taskId: task.id, epoch, act: "stop" }, signal);

  await eventually(async () => (fleet.processesOf(task.id).length === 0 ? true : undefined));
  expect(await fleet.read(task.id)).toMatchObject({ status: "cancelled", workspacePath: null });
});

test("a stale hint to continue a spawn is ignored, and an unknown action is refused", async () => {
  await using fleet = await testFleet();
  const task = await fleet.spawn(await fleet.operator(), { repository: await fleet.aRepository(), script: "hang" });
  const running = await fleet.runUntil(task.id, "running");
  const job = { taskId: task.id, epoch: running.epoch - 1, act: "resume-spawn" };

  await hostProcessor("here").handle(fleet.fleet, job, signal);

  expect(await fleet.read(task.id)).toMatchObject({ status: "running", epoch: running.epoch });
  await expectRefusal(fleet, hostProcessor("here"), { ...job, act: "explode" }, "act");
});
