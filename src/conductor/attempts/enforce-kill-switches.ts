/**
 * Enforcing kill switches, about once a second: each host pauses, stops and resumes its own agents, and one worker handles the
 * tasks that no host holds. Everything follows from rows, so nothing can be lost, and enforcing a switch twice is harmless.
 */
import {
  decideEstop,
  killSwitchOnRow,
  holdDetail,
  describeHold,
  type EstopDecision,
  type EstopSwitch,
} from "../../domain/task/kill-switch.ts";
import { inBatches } from "../../domain/batches.ts";
import { EXCUSED_CONDITIONS, type Task } from "../../domain/task/task.ts";
import { listHosts } from "../../store/hosts.ts";
import { deleteSpentSwitches } from "../../store/kill-switches.ts";
import {
  hasActiveStops,
  listAbortableTasks,
  listOrphanedPauses,
  listPausedTasksOnHost,
} from "../../store/stopped-tasks.ts";
import { listTasksOnHost } from "../../store/tasks.ts";
import { retryOnStale } from "../tasks/retry-stale.ts";
import { stopTask } from "../tasks/stop.ts";
import type { Fleet } from "../fleet.ts";
import { applyTransition, ignoreStale, type TransitionRequest, computeExcusedMs } from "../tasks/transition.ts";
import { killSwitchOnTask, readKillSwitches, currentKillSwitches } from "../products/kill-switches.ts";

const CONCURRENCY = 20;
/** Per query and pass. */
const MAX_TASKS = 1_000;
/** Long enough for the host job to resume the spawn before its worker counts as dead. */
const RESUMED_LEASE_MS = 10_000;

/** One pass. While no switch is engaged and no task is paused, it costs one statement. */
export async function enforceKillSwitches(fleet: Fleet): Promise<void> {
  const isDeclared = fleet.settings.products.some(({ killSwitch }) => killSwitch.enabled);
  if (!isDeclared && !(await fleet.store.asSystem((tx) => hasActiveStops(tx)))) return;
  await Promise.all([enforceOnHost(fleet), enforceWithoutHost(fleet)]);
}

/** This host's agents. Undefined when another process of this machine is doing it. */
async function enforceOnHost(fleet: Fleet): Promise<number | undefined> {
  const { id } = fleet.host;
  return fleet.store.tryWithLock(`estop/${id}`, async () => {
    const { switches, tasks } = await fleet.store.asSystem(async (tx) => {
      const engaged = await readKillSwitches(fleet, tx);
      return {
        switches: engaged,
        tasks: await (engaged.length > 0 ? listTasksOnHost(tx, id) : listPausedTasksOnHost(tx, id)),
      };
    });
    return enforceAll(fleet, switches, tasks);
  });
}

/** Tasks that no live host handles: those that wait, those of lost hosts, and those to abort on any host. */
async function enforceWithoutHost(fleet: Fleet): Promise<number | undefined> {
  return fleet.store.tryWithLock("estop", async () => {
    const { switches, tasks } = await fleet.store.asSystem(async (tx) => {
      const engaged = await readKillSwitches(fleet, tx);
      const aborts = engaged.filter(({ mode }) => mode === "abort");
      const abortable = aborts.length > 0 ? await listAbortableTasks(tx, aborts, MAX_TASKS) : [];
      const alive = (await listHosts(tx)).filter((host) => host.alive).map(({ id }) => id);
      const orphaned = await listOrphanedPauses(tx, alive, MAX_TASKS);
      await deleteSpentSwitches(tx);
      return { switches: engaged, tasks: [...abortable, ...orphaned] };
    });
    return enforceAll(fleet, switches, tasks);
  });
}

async function enforceAll(fleet: Fleet, switches: readonly EstopSwitch[], tasks: readonly Task[]): Promise<number> {
  await inBatches(tasks, CONCURRENCY, (task) => enforceOne(fleet, switches, task));
  return tasks.length;
}

/** An error of one task must not hold up the others; the next pass tries it again. */
async function enforceOne(fleet: Fleet, switches: readonly EstopSwitch[], task: Task): Promise<void> {
  try {
    await enforce(fleet, switches, task);
  } catch (error) {
    const facts = { event: "estop.failed", taskId: task.id, error: String(error) };
    fleet.log.warn(facts, "kill switch could not be enforced on a task");
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

/** Checked before work on a live task begins: true when a switch forbids it, and then the task is already paused or stopped. */
export async function yieldToKillSwitch(fleet: Fleet, task: Task): Promise<boolean> {
  const decision = await enforce(fleet, await currentKillSwitches(fleet, task.tenantId), task);
  return decision === "pause" || decision === "stop";
}

/** A task that waits to start keeps its status, shows the reason, and gets its next job only after the switch is released. */
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
 * The row is written first, so that a crash before the processes are paused is found by it. The new epoch fences off a spawn
 * that is in progress, so that it starts nothing more; what it started is paused here.
 */
async function pauseTask(fleet: Fleet, task: Task, hold: EstopSwitch): Promise<void> {
  await fleet.faultPoint("estop:before", task.id);
  await retryOnStale(fleet, task.id, (fresh) => recordPause(fleet, fresh, hold));
  await fleet.faultPoint("estop:paused", task.id);
  if (task.host !== fleet.host.id) return;
  const isPaused = await fleet.agents.pause({ taskId: task.id, attempt: task.attempt });
  if (!isPaused)
    fleet.log.warn({ event: "estop.moving", taskId: task.id }, "some processes are still running after freeze");
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

/** Another switch applies to it now: only the reason in its row changes. */
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

/** The processes are resumed first, so that the row is true when it says that the task continues. */
async function resumeTask(fleet: Fleet, task: Task): Promise<void> {
  if (task.host === fleet.host.id) await fleet.agents.resume({ taskId: task.id, attempt: task.attempt });
  await fleet.faultPoint("estop:resumed", task.id);
  await retryOnStale(fleet, task.id, async (fresh) => {
    if (killSwitchOnRow(fresh)) await applyTransition(fleet, resumeTransition(fleet, fresh));
  });
}

/** A condition in which time does not count is restored: the task still waits for what it waited for before the freeze. */
function resumeTransition(fleet: Fleet, task: Task): TransitionRequest {
  const was = killSwitchOnRow(task)?.was;
  const isRestored = was !== undefined && EXCUSED_CONDITIONS.has(was.condition);
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
