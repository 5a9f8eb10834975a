/** Starting an attempt: any step may fail or be the last before a crash, and there is never a second agent. */
import { EventEmitter, once } from "node:events";
import { expect, test } from "vitest";
import { resumeAttempt, startAttempt } from "../../../src/conductor/attempts/start.ts";
import { reconcile } from "../../../src/conductor/monitor/reconcile.ts";
import type { SpawnStep } from "../../../src/domain/task/task.ts";
import { eventually } from "../../support/eventually.ts";
import { testFleet, type TestFleet } from "../../support/fleet.ts";

const signal = new AbortController().signal;
const STEPS = ["claim", "workspace", "install", "prompt", "process", "heartbeat"] as const satisfies SpawnStep[];

/** Ends the work as `kill -9` would: nothing after the point happens, not even compensation. */
function dyingAt(point: string) {
  let died = false;
  const faultPoint = (at: string) => {
    if (at !== point || died) return Promise.resolve();
    died = true;
    return new Promise<void>(() => {});
  };
  return { faultPoint, hasDied: () => died };
}

const agents = (fleet: TestFleet, taskId: string) =>
  fleet.query("select attempt, outcome from attempts where task_id = $1", [taskId]).then((rows) => rows.length);

test.each(STEPS.flatMap((step) => [`${step}:before`, `${step}:after`]))(
  "a worker that dies at %s is followed by one that continues, and one agent runs",
  async (point) => {
    const crash = dyingAt(point);
    await using fleet = await testFleet({ parts: { faultPoint: crash.faultPoint } });
    const task = await fleet.spawn(await fleet.operator(), { repository: await fleet.aRepository(), script: "hang" });

    void startAttempt(fleet.fleet, { taskId: task.id, epoch: 1 }, signal);
    await eventually(() => Promise.resolve(crash.hasDied() || undefined));
    // The dead worker's lease runs out and its heartbeat of the claim stops with it.
    const alive = await fleet.another({ env: { FLEET_HOST_ID: "here" }, parts: { faultPoint: async () => {} } });
    await fleet.query(
      "update fleet_tasks set epoch = epoch + 1, lease_until = now() - interval '1 s' where status = 'spawning'",
    );
    await fleet.query("update fleet_tasks set due_at = now() - interval '1 min' where waiting_for is not null");
    await reconcile(alive.fleet);
    await fleet.processHints(alive);
    const { epoch, status } = await fleet.read(task.id);
    if (status === "proposed") await startAttempt(alive.fleet, { taskId: task.id, epoch }, signal);

    const running = await fleet.runUntil(task.id, "running");
    expect(running).toMatchObject({ attempt: 0, retryCount: 0 });
    expect(await agents(fleet, task.id)).toBe(1);
    await fleet.tick();
    const supervisors = await fleet.query("select count(distinct pid)::int as n from heartbeats");
    expect(supervisors).toEqual([{ n: 1 }]);
    expect((await fleet.fleet.agents.observe()).facts).toHaveLength(1);
  },
);

test("a worker that resumes after its successor took over changes nothing", async () => {
  const bed = new EventEmitter();
  const slept = once(bed, "wake").then(() => undefined);
  let asleep = false;
  await using fleet = await testFleet({
    parts: {
      faultPoint: (point) => {
        if (point !== "prompt:before" || asleep) return Promise.resolve();
        asleep = true;
        return slept;
      },
    },
  });
  const task = await fleet.spawn(await fleet.operator(), { repository: await fleet.aRepository(), script: "hang" });
  const zombie = startAttempt(fleet.fleet, { taskId: task.id, epoch: 1 }, signal);
  await eventually(() => Promise.resolve(asleep || undefined));

  const alive = await fleet.another({ env: { FLEET_HOST_ID: "here" }, parts: { faultPoint: async () => {} } });
  const { epoch } = await fleet.read(task.id);
  const taken = await resumeAttempt(alive.fleet, { taskId: task.id, epoch }, signal);
  expect(taken?.status).toBe("running");
  const before = await fleet.read(task.id);
  bed.emit("wake");

  expect(await zombie).toBeUndefined();
  expect(await fleet.read(task.id)).toEqual(before);
  expect((await fleet.fleet.agents.observe()).facts).toHaveLength(1);
  expect(fleet.processesOf(task.id)).not.toEqual([]);
});

test("after a failed step the steps are undone in reverse, and the audit log lists them", async () => {
  await using fleet = await testFleet();
  const repository = await fleet.aRepository();
  const by = await fleet.operator();
  const task = await fleet.spawn(by, { repository, agentType: "codex", maxRetries: 0 });

  await startAttempt(fleet.fleet, { taskId: task.id, epoch: 1 }, signal);

  const failed = await fleet.read(task.id);
  expect(failed).toMatchObject({ status: "failed", failureContext: { reason: "spawn_failed_after_install" } });
  const [entry] = await fleet.query("select detail from audit_log where action = 'task.failed'");
  expect(entry).toMatchObject({ detail: { undone: ["process", "prompt", "workspace"] } });
  expect(fleet.processesOf(task.id)).toEqual([]);
});

test("a failing setup command is reported with its step, and no agent is started", async () => {
  await using fleet = await testFleet();
  const repository = await fleet.aRepository();
  const product = fleet.fleet.settings.products[0];
  Object.assign(product?.commands ?? {}, { setup: ["sh", "-c", "echo no network; exit 3"] });
  const task = await fleet.spawn(await fleet.operator(), { repository });

  await startAttempt(fleet.fleet, { taskId: task.id, epoch: 1 }, signal);

  expect(await fleet.read(task.id)).toMatchObject({
    status: "failed",
    failureContext: { class: "environment_error", reason: "spawn_failed_after_workspace" },
  });
  expect((await fleet.fleet.agents.observe()).facts).toEqual([]);
});

test("a host starts no more agents than it has slots, and a waiting task shows that and starts next", async () => {
  await using fleet = await testFleet({ slots: 1 });
  const by = await fleet.operator();
  const repository = await fleet.aRepository();
  const first = await fleet.spawn(by, { repository });
  const second = await fleet.spawn(by, { repository, script: "hang" });
  await startAttempt(fleet.fleet, { taskId: first.id, epoch: 1 }, signal);

  await startAttempt(fleet.fleet, { taskId: second.id, epoch: 1 }, signal);
  expect(await fleet.read(second.id)).toMatchObject({ status: "proposed", condition: "waiting_slot" });

  await fleet.runUntil(first.id, "ready");
  expect(await fleet.runUntil(second.id, "running")).toMatchObject({ condition: "ok", retryCount: 0 });
});

test("the next attempt continues in the same workspace, with the failure in its new prompt", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const task = await fleet.spawn(by, { repository: await fleet.aRepository(), script: "fail-then-fix" });

  const ready = await fleet.runUntil(task.id, "ready");

  const attempts = await fleet.query(
    "select attempt, start_sha, context_hash, failure_context from attempts order by 1",
  );
  expect(attempts).toHaveLength(2);
  expect(attempts[0]?.["context_hash"]).not.toBe(attempts[1]?.["context_hash"]);
  expect(attempts[1]?.["start_sha"]).not.toBe(attempts[0]?.["start_sha"]);
  expect(attempts[0]?.["failure_context"]).toMatchObject({ class: "ci_failed" });
  const [prepared] = await fleet.query(
    "select detail from audit_log where action = 'spawn.prepared' order by seq desc limit 1",
  );
  expect(prepared).toMatchObject({ detail: { reused: true } });
  expect(ready.attempt).toBe(1);
});
