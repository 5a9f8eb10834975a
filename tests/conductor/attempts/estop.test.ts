/** The kill switch against real agents: they do not run while it applies, and continue after the release. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { readProcess } from "../../../src/command/process-tree.ts";
import { enforceKillSwitches } from "../../../src/conductor/attempts/enforce-kill-switches.ts";
import { releaseEstop, engageEstop } from "../../../src/conductor/attempts/estop.ts";
import { applyTransition } from "../../../src/conductor/tasks/transition.ts";
import { retryNow } from "../../../src/conductor/attempts/retry.ts";
import { stopTask } from "../../../src/conductor/tasks/stop.ts";
import type { EstopMode } from "../../../src/domain/task/kill-switch.ts";
import type { Operator } from "../../../src/domain/operator.ts";
import type { Task } from "../../../src/domain/task/task.ts";
import { listStrandedTasks } from "../../../src/store/invariants.ts";
import { eventually } from "../../support/eventually.ts";
import { testFleet, type TestFleet } from "../../support/fleet.ts";

let farm: TestFleet;
/** Runs when a spawn reaches a fault point. */
const at = new Map<string, (taskId: string) => Promise<void>>();
beforeAll(async () => {
  farm = await testFleet({
    slots: 40,
    settings: { tiers: { architect: 40, sovereign: 40, builder: 40 } },
    parts: { faultPoint: async (point, subject = "") => at.get(`${point} ${subject}`)?.(subject) },
  });
});
afterEach(() => farm.query("delete from kill_switches"));
afterAll(() => farm[Symbol.asyncDispose]());

const sovereign = () => farm.operator({ tier: "sovereign" });
/** A command that keeps a processor busy until it is stopped. */
const SPIN = ["sh", "-c", "while :; do :; done"];

function engageAt(by: Operator, scope: "agent" | "tenant", mode: EstopMode, subject?: string) {
  return engageEstop(farm.fleet, by, { scope, subject, mode, reason: "smoke in the room" });
}

const statesOf = (task: Task) => farm.processesOf(task.id).map((pid) => readProcess(pid)?.state ?? "gone");
const isFrozen = (task: Task) => statesOf(task).every((state) => state === "T");

async function running(by: Operator, repository: string): Promise<Task> {
  const task = await farm.spawn(by, { repository, agentType: "command", command: SPIN, script: undefined });
  return farm.runUntil(task.id, "running");
}

test("freezing a tenant stops the time of its own agents only; releasing it lets them continue", async () => {
  const [ours, theirs] = [await sovereign(), await sovereign()];
  const repository = await farm.aRepository();
  const [frozen, free] = [await running(ours, repository), await running(theirs, repository)];
  const used = (task: Task) => farm.processesOf(task.id).reduce((sum, pid) => sum + (readProcess(pid)?.cpuMs ?? 0), 0);

  await engageAt(ours, "tenant", "freeze");
  await enforceKillSwitches(farm.fleet);
  const [before, freeBefore] = [used(frozen), used(free)];
  await eventually(() => Promise.resolve(used(free) > freeBefore + 50 || undefined));
  expect(used(frozen)).toBe(before);
  expect(before).toBeGreaterThan(0);
  const row = await farm.read(frozen.id);
  expect(row).toMatchObject({ status: "running", condition: "paused" });
  expect(row.conditionDetail).toMatchObject({
    estop: { scope: "tenant", mode: "freeze", reason: "smoke in the room" },
  });
  // Nothing is concluded from its silence.
  await farm.tick();
  expect((await farm.read(frozen.id)).version).toBe(row.version);

  await releaseEstop(farm.fleet, ours, { scope: "tenant" });
  await enforceKillSwitches(farm.fleet);
  expect(await farm.read(frozen.id)).toMatchObject({ status: "running", condition: "ok" });
  await eventually(() => Promise.resolve(used(frozen) > before || undefined));

  const actions = await farm.query("select action, actor from audit_log where operator_id = $1 and task_id is null", [
    ours.id,
  ]);
  expect(actions.filter(({ action }) => String(action).startsWith("estop."))).toEqual([
    { action: "estop.freeze", actor: ours.id },
    { action: "estop.released", actor: ours.id },
  ]);
  for (const [by, task] of [
    [ours, frozen],
    [theirs, free],
  ] as const)
    await stopTask(farm.fleet, by, await farm.read(task.id));
  await farm.tick();
});

test("the strictest of several switches applies, and releasing it leaves the others engaged", async () => {
  const by = await sovereign();
  const task = await running(by, await farm.aRepository());
  await engageAt(by, "agent", "freeze", task.id);
  await engageAt(by, "tenant", "freeze");
  await enforceKillSwitches(farm.fleet);
  await releaseEstop(farm.fleet, by, { scope: "tenant" });
  await enforceKillSwitches(farm.fleet);
  expect(isFrozen(task)).toBe(true);
  expect((await farm.read(task.id)).conditionDetail).toMatchObject({ estop: { scope: "agent" } });

  await engageAt(by, "tenant", "park");
  await releaseEstop(farm.fleet, by, { scope: "agent", subject: task.id });
  await enforceKillSwitches(farm.fleet);
  expect(await farm.read(task.id)).toMatchObject({ condition: "ok" });
  expect(isFrozen(task)).toBe(false);
  await stopTask(farm.fleet, by, await farm.read(task.id));
  await farm.tick();
});

test("while the whole fleet is parked, running agents finish, and nothing starts: no spawn, no claim, no retry", async () => {
  const [by, admin] = [await sovereign(), await farm.operator({ role: "admin" })];
  const repository = await farm.aRepository();
  const runs = await farm.runUntil((await farm.spawn(by, { repository, script: "slow:1" })).id, "running");
  const failed = await farm.spawn(by, { repository, script: "exit-1" });
  await farm.runUntil(failed.id, "failed");
  const waits = await farm.spawn(by, { repository });

  await engageEstop(farm.fleet, admin, { scope: "fleet", mode: "park", reason: "smoke in the room" });
  await expect(farm.spawn(by, { repository })).rejects.toMatchObject({
    code: "stopped",
    facts: { scope: "fleet", mode: "park", reason: "smoke in the room" },
  });
  await expect(retryNow(farm.fleet, await farm.read(failed.id), by)).rejects.toMatchObject({ code: "stopped" });
  await farm.runUntil(runs.id, "ready");
  await eventually(async () => (await farm.processHints()) === 0 || undefined);
  const held = { condition: "paused", conditionDetail: { estop: { reason: "smoke in the room" } } };
  expect(await farm.read(waits.id)).toMatchObject({ status: "proposed", ...held });
  expect(await farm.read(failed.id)).toMatchObject({ status: "failed", ...held });
  const { version } = await farm.read(waits.id);
  await enforceKillSwitches(farm.fleet);
  expect((await farm.read(waits.id)).version).toBe(version);

  const strandedNow = () => farm.fleet.store.asSystem((tx) => listStrandedTasks(tx, 0));
  expect(await strandedNow()).toEqual([]);

  await releaseEstop(farm.fleet, admin, { scope: "fleet" });
  expect(await strandedNow()).toHaveLength(2);
  await enforceKillSwitches(farm.fleet);
  await farm.runUntil(waits.id, "ready");
  expect((await farm.read(failed.id)).attempt).toBeGreaterThan(0);
});

test("abort cancels running tasks with the reason and ends their processes", async () => {
  const by = await sovereign();
  const task = await running(by, await farm.aRepository());
  await engageAt(by, "tenant", "abort");
  await enforceKillSwitches(farm.fleet);
  await farm.tick();

  expect(await farm.read(task.id)).toMatchObject({ status: "cancelled" });
  expect(farm.processesOf(task.id)).toEqual([]);
  const messages = await farm.query("select detail ->> 'told' as told from audit_log where task_id = $1", [task.id]);
  expect(messages).toContainEqual({ told: `tenant ${by.tenantId} is aborted: smoke in the room` });
});

const POINTS = ["claim", "workspace", "install", "prompt", "process", "heartbeat"].flatMap((step) => [
  `${step}:before`,
  `${step}:after`,
]);

test("an agent that is frozen at any point of its spawn does not run, and delivers after the release", async () => {
  const by = await sovereign();
  const repository = await farm.aRepository();
  const tasks = await Promise.all(POINTS.map(() => farm.spawn(by, { repository, script: "slow:1" })));
  for (const [index, task] of tasks.entries())
    at.set(`${POINTS[index]} ${task.id}`, async (id) => {
      await engageAt(by, "agent", "freeze", id);
      // As another process of this host would, at the same time.
      await enforceKillSwitches(farm.fleet);
    });
  await farm.processHints();
  await enforceKillSwitches(farm.fleet);
  at.clear();

  for (const [index, task] of tasks.entries()) {
    expect([POINTS[index], (await farm.read(task.id)).condition]).toEqual([POINTS[index], "paused"]);
    expect([POINTS[index], isFrozen(task)]).toEqual([POINTS[index], true]);
  }
  for (const { id } of tasks) await releaseEstop(farm.fleet, by, { scope: "agent", subject: id });
  await enforceKillSwitches(farm.fleet);
  for (const { id } of tasks) await farm.runUntil(id, "ready");
}, 60_000);

test("an agent that is aborted at any point of its spawn leaves no process", async () => {
  const by = await sovereign();
  const repository = await farm.aRepository();
  const points = POINTS.filter((_, index) => index % 3 === 1);
  const tasks = await Promise.all(points.map(() => farm.spawn(by, { repository, script: "slow:5" })));
  for (const [index, task] of tasks.entries())
    at.set(`${points[index]} ${task.id}`, async (id) => void (await engageAt(by, "agent", "abort", id)));
  await farm.processHints();
  await enforceKillSwitches(farm.fleet);
  at.clear();
  await farm.processHints();
  await farm.tick();

  for (const [index, task] of tasks.entries()) {
    expect([points[index], (await farm.read(task.id)).status]).toEqual([points[index], "cancelled"]);
    expect([points[index], farm.processesOf(task.id)]).toEqual([points[index], []]);
  }
}, 60_000);

test("a question from before the freeze is still open afterwards", async () => {
  const by = await sovereign();
  const task = await running(by, await farm.aRepository());
  const patch = { condition: "needs_input", conditionDetail: { text: "Which one?" } } as const;
  await applyTransition(farm.fleet, { task: await farm.read(task.id), actor: "test", action: "test.asked", patch });
  await engageAt(by, "agent", "freeze", task.id);
  await enforceKillSwitches(farm.fleet);
  expect((await farm.read(task.id)).condition).toBe("paused");

  await releaseEstop(farm.fleet, by, { scope: "agent", subject: task.id });
  await enforceKillSwitches(farm.fleet);
  expect(await farm.read(task.id)).toMatchObject(patch);
  await stopTask(farm.fleet, by, await farm.read(task.id));
  await farm.tick();
});

test("another host releases the paused task of a lost host", async () => {
  const by = await sovereign();
  const task = await running(by, await farm.aRepository());
  await engageAt(by, "agent", "freeze", task.id);
  await enforceKillSwitches(farm.fleet);
  await farm.query(
    `insert into hosts (id, boot_id, reporter, lease_until, slots, versions, load, disk_free_mb)
     values ('gone', 'b', '', now() - interval '1 day', 1, '{}', 0, 1)`,
  );
  await farm.query("update fleet_tasks set host = 'gone' where id = $1", [task.id]);
  await releaseEstop(farm.fleet, by, { scope: "agent", subject: task.id });
  await enforceKillSwitches(farm.fleet);

  expect(await farm.read(task.id)).toMatchObject({ status: "running", condition: "ok" });
  await farm.query("update fleet_tasks set host = 'here' where id = $1", [task.id]);
  await stopTask(farm.fleet, by, await farm.read(task.id));
  await farm.tick();
  expect(farm.processesOf(task.id)).toEqual([]);
});

test("a tenant is stopped by its sovereigns and by admins, the fleet by admins alone", async () => {
  const [builder, admin] = [await farm.operator({ tier: "builder" }), await farm.operator({ role: "admin" })];
  const how = { mode: "park", reason: "drill" } as const;
  const denied = { code: "tier-too-low" };
  await expect(engageEstop(farm.fleet, builder, { scope: "tenant", ...how })).rejects.toMatchObject(denied);
  await expect(engageEstop(farm.fleet, builder, { scope: "fleet", ...how })).rejects.toMatchObject(denied);
  const other = { scope: "tenant", subject: builder.tenantId, ...how } as const;
  await expect(engageEstop(farm.fleet, await sovereign(), other)).rejects.toMatchObject(denied);
  await expect(releaseEstop(farm.fleet, admin, other)).rejects.toMatchObject({ code: "not-found" });
  const thrown = await engageEstop(farm.fleet, admin, other);
  expect(thrown.some(({ subject }) => subject === builder.tenantId)).toBe(true);
});
