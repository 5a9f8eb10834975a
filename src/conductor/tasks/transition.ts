/** Moving a task: the one way every use case changes one, with its audit entry, events, notifications and hints. */
import type { z } from "zod";
import { ciQueue } from "../../../queues/ci.ts";
import { hostQueue, type HostAction } from "../../../queues/host.ts";
import { retryQueue } from "../../../queues/retry.ts";
import { spawnQueue } from "../../../queues/spawn.ts";
import { StaleVersionError } from "../../domain/errors.ts";
import { taskEvents } from "../../domain/notify/event.ts";
import { composeNotification, notificationFor, type NotificationType } from "../../domain/notify/notification.ts";
import { isTerminal, type Task, type TaskStatus } from "../../domain/task/task.ts";
import { createHint, type Hint } from "../../store/outbox.ts";
import type { TaskNotification, TaskPatch, Transition } from "../../store/transitions.ts";
import type { Fleet } from "../fleet.ts";
import { type Principal, SYSTEM } from "../../store/principal.ts";

/** The queue whose job must move the task on from where it now comes to. */
export type NextJob =
  | { readonly queue: "spawn" | "retry" | "ci"; readonly delayMs?: number }
  /** Only the task's host can go on. */
  | { readonly queue: "host"; readonly hostId: string; readonly act: HostAction };

export interface TransitionRequest {
  readonly task: Task;
  readonly to?: TaskStatus;
  /** Fence off whoever works under the old epoch although the status stays. */
  readonly takeOver?: boolean;
  readonly actor: string;
  readonly action: string;
  readonly detail?: Readonly<Record<string, unknown>>;
  readonly patch?: TaskPatch;
  readonly leaseMs?: number;
  readonly dueMs?: number;
  readonly next?: NextJob;
  /** Further hints; made with the epoch the task will have. */
  readonly hints?: (epoch: number) => readonly Hint[];
  /** One line for people and events: a reason, a question, a number of findings. */
  readonly message?: string;
  /** Tells people although the status stays (a question, a hold). */
  readonly notify?: NotificationType;
  /** Events of their own, although the status stays. */
  readonly events?: readonly unknown[];
}

/** Moves it at once (together with what other callers ask meanwhile). Throws StaleVersionError when another was first. */
export async function applyTransition(
  fleet: Fleet,
  request: TransitionRequest,
  principal: Principal = SYSTEM,
): Promise<Task> {
  const task = await fleet.store.transitions.transition(principal, buildTransition(fleet, request));
  fleet.kickRelay();
  return task;
}

/** What `work` gives, or undefined when another writer was first: then what was wanted is done, or no longer wanted. */
export async function ignoreStale<Result>(work: Promise<Result>): Promise<Result | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof StaleVersionError) return undefined;
    throw error;
  }
}

/** The whole statement to be, for a move inside a transaction with other rows (then kick the relay after commit). */
export function buildTransition(fleet: Fleet, request: TransitionRequest): Transition {
  const { task, to, takeOver, actor, action, next, message, leaseMs } = request;
  const epoch = task.epoch + (to || takeOver ? 1 : 0);
  const after: Task = { ...task, ...request.patch, version: task.version + 1, epoch };
  return {
    task,
    to,
    takeOver,
    actor,
    action,
    leaseMs,
    dueMs: request.dueMs ?? (next && delayOf(next)),
    detail: message ? { ...request.detail, told: message } : { ...request.detail },
    patch: buildPatch(request),
    hints: [...hintsFor(next, task, epoch), ...(request.hints?.(epoch) ?? [])],
    events: to ? buildEvents(fleet, request, after, to) : request.events,
    notes: buildNotes(fleet, request, after, to),
  };
}

/** What waited for a job waits no longer once the task moves, unless for the next one. */
function buildPatch({ to, next, patch }: TransitionRequest): TaskPatch | undefined {
  if (next) return { ...patch, waitingFor: waitingFor(next) };
  return to ? { ...patch, waitingFor: patch?.waitingFor ?? null } : patch;
}

/** What `waiting_for` says; the reconciler turns it back into the job (see jobFor). */
function waitingFor(next: NextJob): string {
  return next.queue === "host" ? `host/${next.act}` : next.queue;
}

function delayOf(next: NextJob): number {
  return next.queue === "host" ? 0 : (next.delayMs ?? 0);
}

function hintsFor(next: NextJob | undefined, { id, traceId }: Task, epoch: number): Hint[] {
  if (!next) return [];
  const job = { taskId: id, epoch, ...(traceId ? { traceId } : {}) };
  if (next.queue === "host") return [createHint(hostQueue(next.hostId), { ...job, act: next.act })];
  return [createHint(TASK_QUEUES[next.queue], job, next.delayMs)];
}

const TASK_QUEUES = { spawn: spawnQueue, retry: retryQueue, ci: ciQueue } as const;

/** The job a task waits for, made again from its row: a lost hint can always be replaced. */
export function jobFor(
  task: Task,
): { queue: (typeof TASK_QUEUES)["spawn"]; payload: z.output<(typeof spawnQueue)["payload"]> } | undefined {
  const job = { taskId: task.id, epoch: task.epoch, ...(task.traceId ? { traceId: task.traceId } : {}) };
  if (task.waitingFor === "spawn" || task.waitingFor === "retry" || task.waitingFor === "ci") {
    return { queue: TASK_QUEUES[task.waitingFor], payload: job };
  }
  return undefined;
}

/** The next job of a task as its row says it, for issuing it anew under a new epoch. */
export function nextJobFor(task: Task): NextJob | undefined {
  if (task.waitingFor === "spawn" || task.waitingFor === "retry" || task.waitingFor === "ci") {
    return { queue: task.waitingFor };
  }
  if (task.waitingFor === "host/resume-spawn" && task.host) {
    return { queue: "host", hostId: task.host, act: "resume-spawn" };
  }
  return undefined;
}

function buildEvents(fleet: Fleet, request: TransitionRequest, after: Task, to: TaskStatus): unknown[] {
  return taskEvents({
    task: after,
    from: request.task.status,
    to,
    actor: request.actor,
    at: fleet.clock(),
    reason: request.message ?? null,
  });
}

function buildNotes(
  fleet: Fleet,
  request: TransitionRequest,
  after: Task,
  to: TaskStatus | undefined,
): TaskNotification[] {
  const type = to ? notificationFor(request.task.status, to, request.patch?.failureContext?.class) : request.notify;
  if (!type) return [];
  const muted = fleet.settings.notify.mute.includes(type);
  if (muted && !(to && isTerminal(to))) return [];
  const { summary, ...facts } = composeNotification(type, after, {
    detail: request.message,
    redact: fleet.redactor.redact,
  });
  // INV-018: an end is recorded even when nobody wants to hear of it; then the terminal has it.
  return [{ type, summary, facts, channels: muted ? ["terminal"] : fleet.settings.notify.channels }];
}

/** Conditions in which time counts neither as stall nor towards the time-out. */
export const EXCUSED_CONDITIONS = new Set(["needs_input", "waiting_quota", "operator_attached", "paused"]);

/** Together with the condition that now ends. */
export function computeExcusedMs(task: Task, now: Date): number {
  const before = task.metadata.excusedMs ?? 0;
  if (!EXCUSED_CONDITIONS.has(task.condition) || !task.conditionSince) return before;
  return before + Math.max(0, now.getTime() - task.conditionSince.getTime());
}
