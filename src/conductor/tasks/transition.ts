/** Task transitions: every use case changes a task this way, together with its audit entry, events, notifications and hints. */

import { ciQueue } from "../../../queues/ci.ts";
import { hostQueue, type HostAction } from "../../../queues/host.ts";
import { retryQueue } from "../../../queues/retry.ts";
import { spawnQueue } from "../../../queues/spawn.ts";
import type { TaskJob } from "../../../queues/task-job.ts";
import { StaleVersionError } from "../../domain/errors.ts";
import { taskEvents } from "../../domain/notify/event.ts";
import { composeNotification, notificationFor, type NotificationType } from "../../domain/notify/notification.ts";
import { EXCUSED_CONDITIONS, isTerminal, type Task, type TaskStatus } from "../../domain/task/task.ts";
import { createHint, type Hint } from "../../store/outbox.ts";
import type { TaskNotification, TaskPatch, Transition } from "../../store/transitions.ts";
import type { Fleet } from "../fleet.ts";
import { type Principal, SYSTEM } from "../../store/principal.ts";

/** The job that must move the task on from its new state. */
export type NextJob =
  | { readonly queue: keyof typeof TASK_QUEUES; readonly delayMs?: number }
  /** Only the task's host can continue. */
  | { readonly queue: "host"; readonly hostId: string; readonly act: HostAction };

export interface TransitionRequest {
  readonly task: Task;
  readonly to?: TaskStatus;
  /** Fences off workers that still use the old epoch, although the status stays the same. */
  readonly takeOver?: boolean;
  readonly actor: string;
  readonly action: string;
  readonly detail?: Readonly<Record<string, unknown>>;
  readonly patch?: TaskPatch;
  readonly leaseMs?: number;
  readonly dueMs?: number;
  readonly next?: NextJob;
  /** Further hints, created with the epoch that the task will have. */
  readonly hints?: (epoch: number) => readonly Hint[];
  /** One line for people and events, such as a reason or a question. */
  readonly message?: string;
  /** Sends a notification although the status stays the same, as for a question. */
  readonly notify?: NotificationType;
  /** Further events, for a transition that keeps the status. */
  readonly events?: readonly unknown[];
}

/** Commits at once, in one group with concurrent callers. Throws StaleVersionError when another writer was first. */
export async function applyTransition(
  fleet: Fleet,
  request: TransitionRequest,
  principal: Principal = SYSTEM,
): Promise<Task> {
  const task = await fleet.store.transitions.transition(principal, buildTransition(fleet, request));
  fleet.kickRelay();
  return task;
}

/** Undefined when another writer was first: then the change was already made, or is no longer wanted. */
export async function ignoreStale<Result>(work: Promise<Result>): Promise<Result | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof StaleVersionError) return undefined;
    throw error;
  }
}

/** Builds the transition for a transaction with other rows; the caller kicks the relay after its commit. */
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

/** A task that changes its status no longer waits for its earlier job; it may wait for the next one. */
function buildPatch({ to, next, patch }: TransitionRequest): TaskPatch | undefined {
  if (next) return { ...patch, waitingFor: waitingForValue(next) };
  return to ? { ...patch, waitingFor: patch?.waitingFor ?? null } : patch;
}

/** The value of `waiting_for`; the reconciler finds the job by it (see awaitedQueue). */
function waitingForValue(next: NextJob): string {
  return next.queue === "host" ? `host/${next.act}` : next.queue;
}

function delayOf(next: NextJob): number {
  return next.queue === "host" ? 0 : (next.delayMs ?? 0);
}

function hintsFor(next: NextJob | undefined, task: Task, epoch: number): Hint[] {
  if (!next) return [];
  const job = taskJob({ ...task, epoch });
  if (next.queue === "host") return [createHint(hostQueue(next.hostId), { ...job, act: next.act })];
  return [createHint(TASK_QUEUES[next.queue], job, next.delayMs)];
}

export const TASK_QUEUES = { spawn: spawnQueue, retry: retryQueue, ci: ciQueue } as const;

/** The queue whose job this task waits for; undefined when it waits for no job, for its host, or for reviews. */
export function awaitedQueue({ waitingFor }: Task): keyof typeof TASK_QUEUES | undefined {
  return waitingFor === "spawn" || waitingFor === "retry" || waitingFor === "ci" ? waitingFor : undefined;
}

/** The job that a task waits for, made from its row, so that a lost one can always be replaced. */
export function taskJob({ id, epoch, traceId }: Task): TaskJob {
  return { taskId: id, epoch, ...(traceId ? { traceId } : {}) };
}

/** The job that a task waits for, for adding it under a new epoch. */
export function nextJobFor(task: Task): NextJob | undefined {
  const queue = awaitedQueue(task);
  if (queue) return { queue };
  if (task.waitingFor !== "host/resume-spawn" || !task.host) return undefined;
  return { queue: "host", hostId: task.host, act: "resume-spawn" };
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
  // INV-018 requires a record of every end; a muted one goes to the terminal channel only.
  return [{ type, summary, facts, channels: muted ? ["terminal"] : fleet.settings.notify.channels }];
}

/** Includes the condition that ends now. */
export function computeExcusedMs(task: Task, now: Date): number {
  const before = task.metadata.excusedMs ?? 0;
  if (!EXCUSED_CONDITIONS.has(task.condition) || !task.conditionSince) return before;
  return before + Math.max(0, now.getTime() - task.conditionSince.getTime());
}
