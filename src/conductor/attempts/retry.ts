/** Retrying: a failed or rejected task is admitted again within the tier's limit and budget, or it is abandoned. */
import type { TaskJob } from "../../../queues/task-job.ts";
import { firstReachedCap, describeCap, CapReachedError } from "../../domain/budget.ts";
import { SpawnDeniedError } from "../../domain/errors.ts";
import type { EstopSwitch } from "../../domain/task/kill-switch.ts";
import type { Operator } from "../../domain/operator.ts";
import { decideRetry, type RetryDecision } from "../../domain/task/retry.ts";
import type { Task } from "../../domain/task/task.ts";
import { listAttempts } from "../../store/attempts.ts";
import { listHosts } from "../../store/hosts.ts";
import { findOperator } from "../../store/operators.ts";
import type { Tx } from "../../store/sql.ts";
import { findTaskAtEpoch, getTask } from "../../store/tasks.ts";
import { readmitTask } from "../../store/transitions.ts";
import { parkedTransition } from "./enforce-kill-switches.ts";
import type { Fleet } from "../fleet.ts";
import { applyTransition, buildTransition, type TransitionRequest } from "../tasks/transition.ts";
import { killSwitchOnTask, killSwitchError, currentKillSwitches } from "../products/kill-switches.ts";

/** How long a task waits before it tries to be admitted again. */
const PAUSE_MS = { slot: 5_000, budget: 10 * 60_000 } as const;

/** Handles a retry job. Undefined when the task's state or epoch has changed since the job was added. */
export async function attemptRetry(fleet: Fleet, job: TaskJob): Promise<Task | undefined> {
  const found = await fleet.store.asSystem(async (tx) => {
    const task = await findTaskAtEpoch(tx, job);
    return task && (task.status === "failed" || task.status === "rejected")
      ? { task, ...(await gatherDecision(fleet, tx, task)) }
      : undefined;
  });
  if (!found) return undefined;
  const { task, decision, operator } = found;
  const hold = decision.do === "retry" ? await findKillSwitch(fleet, task) : undefined;
  if (hold) return applyTransition(fleet, parkedTransition(fleet, task, hold));
  if (decision.do === "retry") return readmit(fleet, task, operator, decision);
  if (decision.do === "abandon") return abandon(fleet, task, decision.reason);
  if (decision.do === "hold") {
    const conditionDetail = { text: decision.reason, held: true };
    return applyTransition(fleet, {
      task,
      actor: fleet.worker,
      action: "retry.held",
      patch: { condition: "needs_input", conditionDetail, waitingFor: null },
    });
  }
  return undefined;
}

/** An operator retries a task: immediately, whatever its failure class, if budget and a slot are free. */
export async function retryNow(fleet: Fleet, task: Task, by: Operator): Promise<Task> {
  const hold = await findKillSwitch(fleet, task);
  if (hold) throw killSwitchError(hold);
  const spent = firstReachedCap(task.budget, task.spend);
  if (spent) throw new CapReachedError(spent, fleet.clock());
  const limit = fleet.settings.tiers[by.tier];
  const burnsRetry = task.retryCount < task.maxRetries;
  const moved = await fleet.store.asSystem(async (tx) => {
    const fresh = await getTask(tx, task.id);
    return readmitTask(tx, buildTransition(fleet, retryTransition(fresh, { burnsRetry, actor: by.id })), limit);
  });
  if (!moved) throw new SpawnDeniedError(limit, limit, by.tier);
  fleet.kickRelay();
  return moved;
}

async function findKillSwitch(fleet: Fleet, task: Task): Promise<EstopSwitch | undefined> {
  return killSwitchOnTask(fleet, await currentKillSwitches(fleet, task.tenantId), task);
}

async function gatherDecision(
  fleet: Fleet,
  tx: Tx,
  task: Task,
): Promise<{ decision: RetryDecision; operator: Operator | undefined }> {
  const attempts = await listAttempts(tx, task.id);
  const hosts = await listHosts(tx);
  const operator = await findOperator(tx, task.operatorId);
  const slots = hosts.reduce((sum, host) => sum + host.slots, 0);
  const held = hosts.reduce((sum, host) => sum + host.held, 0);
  const spent = firstReachedCap(task.budget, task.spend);
  if (spent) return { decision: { do: "hold", reason: describeCap(spent) }, operator };
  if (!task.failureContext) return { decision: { do: "abandon", reason: "no failure was recorded" }, operator };
  const history = attempts
    .filter(({ attempt }) => attempt < task.attempt)
    .flatMap(({ failureContext }) => (failureContext ? [failureContext] : []));
  const decision = decideRetry(task, task.failureContext, {
    history,
    policy: fleet.settings.retry,
    fleetUse: slots === 0 ? 0 : held / slots,
    random: fleet.random(),
    now: fleet.clock(),
  });
  return { decision, operator };
}

async function readmit(
  fleet: Fleet,
  task: Task,
  operator: Operator | undefined,
  { burnsRetry, reason }: Extract<RetryDecision, { do: "retry" }>,
): Promise<Task> {
  const limit = operator ? fleet.settings.tiers[operator.tier] : 0;
  await fleet.faultPoint("retry:before", task.id);
  const move = retryTransition(task, { burnsRetry, actor: fleet.worker, reason });
  const moved = await tryReadmit(fleet, move, limit);
  if (moved instanceof CapReachedError) return wait(fleet, task, "budget", { budget: moved.facts });
  await fleet.faultPoint("retry:after", task.id);
  if (moved) {
    fleet.kickRelay();
    return moved;
  }
  return wait(fleet, task, "slot", { limit });
}

async function tryReadmit(
  fleet: Fleet,
  move: TransitionRequest,
  limit: number,
): Promise<Task | CapReachedError | undefined> {
  try {
    return await fleet.store.asSystem((tx) => readmitTask(tx, buildTransition(fleet, move), limit));
  } catch (error) {
    if (error instanceof CapReachedError) return error;
    throw error;
  }
}

/** The task stays failed, with the reason in its condition; a delayed job tries again under a new epoch. */
function wait(
  fleet: Fleet,
  task: Task,
  what: keyof typeof PAUSE_MS,
  conditionDetail: Readonly<Record<string, unknown>>,
): Promise<Task> {
  return applyTransition(fleet, {
    task,
    takeOver: true,
    actor: fleet.worker,
    action: `retry.waits_for_${what}`,
    patch: { condition: "waiting_slot", conditionDetail },
    next: { queue: "retry", delayMs: PAUSE_MS[what] },
  });
}

function retryTransition(task: Task, how: { burnsRetry: boolean; actor: string; reason?: string }): TransitionRequest {
  return {
    task,
    to: "retrying",
    actor: how.actor,
    action: "task.retrying",
    message: `attempt ${task.attempt + 2} of at most ${task.maxRetries + 1}${how.reason ? ` after ${how.reason.replaceAll("_", " ")}` : ""}`,
    patch: {
      attempt: task.attempt + 1,
      retryCount: task.retryCount + (how.burnsRetry ? 1 : 0),
      dispatchId: null,
      condition: "ok",
      conditionDetail: null,
      metadata: { ...task.metadata, saga: { done: [] }, crashes: 0 },
    },
    next: { queue: "spawn" },
  };
}

async function abandon(fleet: Fleet, task: Task, reason: string): Promise<Task> {
  return applyTransition(fleet, {
    task,
    to: "abandoned",
    actor: fleet.worker,
    action: "task.abandoned",
    message: reason,
    patch: { condition: "ok", conditionDetail: null },
  });
}
