/**
 * Kill switches made true, again and again: each host stops and continues its own agents, and the first process sees to
 * the tasks that no host holds. All of it is found in rows, so nothing can be lost, and doing it twice does nothing twice.
 */
import {
  decideEstop,
  killSwitchOnRow,
  holdDetail,
  describeHold,
  type EstopDecision,
  type EstopSwitch,
} from "../../domain/task/kill-switch.ts";
import { StaleVersionError } from "../../domain/errors.ts";
import type { Condition, Task } from "../../domain/task/task.ts";
import { listHosts } from "../../store/hosts.ts";
import { deleteSpentSwitches } from "../../store/kill-switches.ts";
import {
  hasActiveStops,
  listAbortableTasks,
  listOrphanedPauses,
  listPausedTasksOnHost,
} from "../../store/stopped-tasks.ts";
import { findTask, listTasksOnHost } from "../../store/tasks.ts";
import { stopTask } from "../tasks/stop.ts";
import type { Fleet } from "../fleet.ts";
import { applyTransition, ignoreStale, type TransitionRequest, computeExcusedMs } from "../tasks/transition.ts";
import { killSwitchOnTask, readKillSwitches, currentKillSwitches } from "../products/kill-switches.ts";

/** A row that is written meanwhile is read again; what stays undone is done by the next look, a second later. */
const MAX_TRIES = 5;
const CONCURRENCY = 20;
/** Of one kind in one look. */
const MAX_TASKS = 1_000;
/** The hint to go on with a spawn comes first; only then its worker is missed. */
const RESUMED_LEASE_MS = 10_000;

/** One look, once a second or so. Nothing stopped, nothing paused: that is one statement. */
export async function enforceKillSwitches(fleet: Fleet): Promise<void> {
  const isDeclared = fleet.settings.products.some(({ killSwitch }) => killSwitch.enabled);
  if (!isDeclared && !(await fleet.store.asSystem((tx) => hasActiveStops(tx)))) return;
  await Promise.all([enforceOnHost(fleet), enforceHostless(fleet)]);
}

/** This host's agents. Undefined when another process of this machine is at it. */
async function enforceOnHost(fleet: Fleet): Promise<number | undefined> {
  const { id } = fleet.host;
  return fleet.store.tryWithLock(`estop/${id}`, async () => {
    const { switches, tasks } = await fleet.store.asSystem(async (tx) => {
      const thrown = await readKillSwitches(fleet, tx);
      return {
        switches: thrown,
        tasks: await (thrown.length > 0 ? listTasksOnHost(tx, id) : listPausedTasksOnHost(tx, id)),
      };
    });
    return enforceAll(fleet, switches, tasks);
  });
}

/** What no host sees to: tasks that wait, tasks of lost hosts, and what is to be stopped wherever it is. */
async function enforceHostless(fleet: Fleet): Promise<number | undefined> {
  return fleet.store.tryWithLock("estop", async () => {
    const { switches, tasks } = await fleet.store.asSystem(async (tx) => {
      const thrown = await readKillSwitches(fleet, tx);
      const aborts = thrown.filter(({ mode }) => mode === "abort");
      const abortable = aborts.length > 0 ? await listAbortableTasks(tx, aborts, MAX_TASKS) : [];
      const alive = (await listHosts(tx)).filter((host) => host.alive).map(({ id }) => id);
      const forsaken = await listOrphanedPauses(tx, alive, MAX_TASKS);
      await deleteSpentSwitches(tx);
      return { switches: thrown, tasks: [...abortable, ...forsaken] };
    });
    return enforceAll(fleet, switches, tasks);
  });
}

async function enforceAll(fleet: Fleet, switches: readonly EstopSwitch[], tasks: readonly Task[]): Promise<number> {
  for (let from = 0; from < tasks.length; from += CONCURRENCY) {
    await Promise.all(tasks.slice(from, from + CONCURRENCY).map((task) => enforceOne(fleet, switches, task)));
  }
  return tasks.length;
}

/** One task's trouble holds up nobody else's. */
async function enforceOne(fleet: Fleet, switches: readonly EstopSwitch[], task: Task): Promise<void> {
  try {
    await enforce(fleet, switches, task);
  } catch (error) {
    const facts = { event: "estop.failed", taskId: task.id, error: String(error) };
    fleet.log.warn(facts, "a kill switch could not be made true for a task");
  }
}

async function enforce(fleet: Fleet, switches: readonly EstopSwitch[], task: Task): Promise<EstopDecision> {
  const hold = await killSwitchOnTask(fleet, switches, task);
  const decision = decideEstop({ status: task.status, isHeld: killSwitchOnRow(task) !== undefined }, hold);
  if (decision === "pause" && hold) await pauseTask(fleet, task, hold);
  if (decision === "stop" && hold) await abortTask(fleet, task, hold);
  if (decision === "wait" && hold) await ignoreStale(recordHold(fleet, task, hold));
  if (decision === "resume") await resumeTask(fleet, task);
  return decision;
}

/** For a caller about to begin something for a live task: true when it must not, and then the task is as the switch wants it. */
export async function yieldToKillSwitch(fleet: Fleet, task: Task): Promise<boolean> {
  const decision = await enforce(fleet, await currentKillSwitches(fleet, task.tenantId), task);
  return decision === "pause" || decision === "stop";
}

/** What waits to begin stays as it is, says why, and is asked again only when its switch is gone. */
export function parkedTransition(fleet: Fleet, task: Task, hold: EstopSwitch): TransitionRequest {
  return {
    task,
    takeOver: true,
    actor: fleet.worker,
    action: "estop.parked",
    message: describeHold(hold),
    patch: { condition: "paused", conditionDetail: { estop: holdDetail(hold) }, waitingFor: null },
  };
}

/**
 * The row first: a process that died between the two is found by it. A spawn that is under way is fenced off by the new epoch, so
 * that it begins nothing more; what it began is stopped here.
 */
async function pauseTask(fleet: Fleet, task: Task, hold: EstopSwitch): Promise<void> {
  await fleet.faultPoint("estop:before", task.id);
  await retryOnStale(fleet, task, (fresh) => recordPause(fleet, fresh, hold));
  await fleet.faultPoint("estop:paused", task.id);
  if (task.host !== fleet.host.id) return;
  const isStill = await fleet.agents.pause({ taskId: task.id, attempt: task.attempt });
  if (!isStill) fleet.log.warn({ event: "estop.moving", taskId: task.id }, "something of a frozen agent still moves");
}

async function recordPause(fleet: Fleet, task: Task, hold: EstopSwitch): Promise<void> {
  if (decideEstop({ status: task.status, isHeld: true }, hold) !== "pause") return;
  const held = killSwitchOnRow(task);
  if (held && isSame(held.estop, holdDetail(hold))) return;
  if (held) {
    await recordHold(fleet, task, hold);
    return;
  }
  const { condition, conditionDetail: detail } = task;
  const isSpawning = task.status === "spawning";
  await applyTransition(fleet, {
    task,
    takeOver: isSpawning,
    actor: fleet.worker,
    action: "estop.paused",
    message: describeHold(hold),
    detail: { by: hold.operatorId },
    patch: {
      condition: "paused",
      conditionDetail: { estop: holdDetail(hold), was: { condition, detail } },
      metadata: { ...task.metadata, excusedMs: computeExcusedMs(task, fleet.clock()) },
      ...(isSpawning ? { waitingFor: null } : {}),
    },
  });
}

/** Another switch holds it by now: only what its row says of it changes. */
async function recordHold(fleet: Fleet, task: Task, hold: EstopSwitch): Promise<void> {
  const held = killSwitchOnRow(task);
  const estop = holdDetail(hold);
  if (!held || isSame(held.estop, estop)) return;
  const patch = { conditionDetail: { ...task.conditionDetail, estop } };
  await applyTransition(fleet, { task, actor: fleet.worker, action: "estop.held", message: describeHold(hold), patch });
}

function isSame(one: object, other: object): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

async function abortTask(fleet: Fleet, task: Task, hold: EstopSwitch): Promise<void> {
  const by = { id: hold.operatorId ?? "fleet.yaml", tenantId: task.tenantId, tier: "builder" } as const;
  await stopTask(fleet, by, task, describeHold(hold));
}

/** The processes first: a row that says it goes on is true then. */
async function resumeTask(fleet: Fleet, task: Task): Promise<void> {
  if (task.host === fleet.host.id) await fleet.agents.resume({ taskId: task.id, attempt: task.attempt });
  await fleet.faultPoint("estop:resumed", task.id);
  await retryOnStale(fleet, task, async (fresh) => {
    if (killSwitchOnRow(fresh)) await applyTransition(fleet, resumeTransition(fleet, fresh));
  });
}

/** Conditions that a frozen task comes back to: what it waited for then, it still waits for. */
const RESTORED_CONDITIONS = new Set<Condition>(["needs_input", "waiting_quota", "operator_attached", "paused"]);

function resumeTransition(fleet: Fleet, task: Task): TransitionRequest {
  const was = killSwitchOnRow(task)?.was;
  const isRestored = was !== undefined && RESTORED_CONDITIONS.has(was.condition);
  const move = { task, actor: fleet.worker, action: "estop.resumed" };
  const patch = {
    condition: isRestored ? was.condition : ("ok" as const),
    conditionDetail: isRestored ? was.detail : null,
    metadata: { ...task.metadata, excusedMs: computeExcusedMs(task, fleet.clock()) },
  };
  if (task.status === "spawning" && task.host) {
    const next = { queue: "host", hostId: task.host, act: "resume-spawn" } as const;
    return { ...move, patch, takeOver: true, next, leaseMs: RESUMED_LEASE_MS };
  }
  if (task.status === "proposed" || task.status === "retrying") {
    return { ...move, patch, takeOver: true, next: { queue: "spawn" } };
  }
  if (task.status === "failed" || task.status === "rejected") {
    return { ...move, patch, takeOver: true, next: { queue: "retry" } };
  }
  return { ...move, patch };
}

async function retryOnStale(fleet: Fleet, task: Task, work: (fresh: Task) => Promise<void>): Promise<void> {
  let fresh: Task | undefined = task;
  for (let tries = 1; fresh; tries += 1) {
    try {
      return await work(fresh);
    } catch (error) {
      if (!(error instanceof StaleVersionError) || tries >= MAX_TRIES) throw error;
      fresh = await fleet.store.asSystem((tx) => findTask(tx, task.id));
    }
  }
}
