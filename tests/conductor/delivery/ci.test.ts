/**
 * Checks: requested once per head, run by one worker, and only the worker that still holds the claim stores the
 * result.
 */
import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { runCi } from "../../../src/conductor/delivery/ci.ts";
import { testFleet, type TestFleet } from "../../support/fleet.ts";

const signal = new AbortController().signal;

/** A task whose checks are requested but have not run yet. */
async function withChecks(fleet: TestFleet, check: string, script = "succeed") {
  const repository = await fleet.aRepository({ test: check });
  const { id } = await fleet.spawn(await fleet.operator(), { repository, script });
  return fleet.runUntil(id, "pr_created");
}

const runs = (fleet: TestFleet) => fleet.query("select status, tries from ci_runs");

test("of two workers with the same job one runs the checks, and a third delivery is a no-op", async () => {
  await using fleet = await testFleet();
  const other = await fleet.another();
  const counter = `${fleet.home}/ran`;
  const task = await withChecks(fleet, `echo x >> ${counter}`);
  const job = { taskId: task.id, epoch: task.epoch };

  const both = await Promise.all([runCi(fleet.fleet, job, signal), runCi(other.fleet, job, signal)]);
  const third = await runCi(fleet.fleet, job, signal);

  expect(both.filter(Boolean)).toHaveLength(1);
  expect(third).toBeUndefined();
  expect(await fleet.read(task.id)).toMatchObject({ ciStatus: "passing", waitingFor: null });
  expect(await runs(fleet)).toEqual([{ status: "passing", tries: 1 }]);
  const ran = await import("node:fs/promises").then(({ readFile }) => readFile(counter, "utf8"));
  expect(ran).toBe("x\n");
});

test("a red check fails the task with its output, which is in the prompt of the next attempt", async () => {
  await using fleet = await testFleet();
  const task = await withChecks(fleet, "echo the wheel is square; exit 1");

  await runCi(fleet.fleet, { taskId: task.id, epoch: task.epoch }, signal);

  const failed = await fleet.runUntil(task.id, "failed");
  expect(failed.failureContext).toMatchObject({ class: "ci_failed" });
  expect(failed.failureContext?.ciLog).toContain("the wheel is square");
  // The check's own last line, not the summary in the log.
  expect(failed.failureContext?.summary).toBe("Ci test failed. Last output: the wheel is square");
});

test("a worker whose claim was taken over meanwhile does not store its result", async () => {
  await using fleet = await testFleet();
  const task = await withChecks(fleet, "sleep 1");

  const running = runCi(fleet.fleet, { taskId: task.id, epoch: task.epoch }, signal);
  await new Promise((resolve) => setTimeout(resolve, 400));
  await fleet.query("update ci_runs set worker = 'another', lease_until = now() + interval '1 min'");
  await running;

  expect(await runs(fleet)).toEqual([{ status: "running", tries: 1 }]);
  expect(await fleet.read(task.id)).toMatchObject({ ciStatus: "pending", version: task.version });
});

test("the claim of a dead worker is free when its lease has expired", async () => {
  await using fleet = await testFleet();
  const task = await withChecks(fleet, "true");
  await fleet.query("update ci_runs set status = 'running', worker = 'dead', lease_until = now() + interval '1 min'");
  const job = { taskId: task.id, epoch: task.epoch };
  expect(await runCi(fleet.fleet, job, signal)).toBeUndefined();

  await fleet.query("update ci_runs set lease_until = now() - interval '1 s'");

  expect(await runCi(fleet.fleet, job, signal)).toMatchObject({ ciStatus: "passing" });
});

test("work that is aborted returns the run to the next worker", async () => {
  await using fleet = await testFleet();
  const task = await withChecks(fleet, "sleep 5");
  const stop = new AbortController();

  const running = runCi(fleet.fleet, { taskId: task.id, epoch: task.epoch }, stop.signal);
  await new Promise((resolve) => setTimeout(resolve, 400));
  stop.abort(new Error("shutting down"));
  await running.catch(() => undefined);

  expect(await runs(fleet)).toEqual([{ status: "pending", tries: 1 }]);
});

test("after an environment failure the checks run again, and a second one counts", async () => {
  await using fleet = await testFleet();
  const flag = `${fleet.home}/was-here`;
  // A check that is killed, as by a machine out of memory, says nothing about the change.
  const task = await withChecks(fleet, `if [ -e ${flag} ]; then true; else : > ${flag}; exit 127; fi`);

  const ready = await fleet.runUntil(task.id, ["ready", "failed"]);

  expect(existsSync(flag)).toBe(true);
  expect(ready).toMatchObject({ status: "ready", ciStatus: "passing", attempt: 0 });
  expect(await runs(fleet)).toEqual([{ status: "passing", tries: 2 }]);
});
