/** Transitions of tasks: one statement each when idle, many per statement under load (adaptive group commit). */
import { z } from "zod";
import { Cap, CapReachedError } from "../domain/budget.ts";
import { FleetError, InvalidTransitionError, StaleVersionError, messageOf } from "../domain/errors.ts";
import { assertTransition, type Task, type TaskStatus, VALID_TRANSITIONS } from "../domain/task/task.ts";
import { pgErrorCode, isUnavailable, isInvalidValue, isRetryable, toDomainError } from "./failures.ts";
import type { Hint } from "./outbox.ts";
import { camelCase, snakeKeys, type Tx } from "./sql.ts";
import type { Principal } from "./principal.ts";

/** The columns that a transition or patch may set; others stay. */
export type TaskPatch = Partial<
  Pick<
    Task,
    | "host"
    | "agentType"
    | "model"
    | "routingReason"
    | "branch"
    | "workspacePath"
    | "tmuxSession"
    | "condition"
    | "conditionDetail"
    | "attempt"
    | "dispatchId"
    | "waitingFor"
    | "prNumber"
    | "prUrl"
    | "headSha"
    | "ciStatus"
    | "reviewStatus"
    | "doneStatus"
    | "retryCount"
    | "spend"
    | "contextHash"
    | "failureContext"
    | "metadata"
  >
>;

export interface TaskNotification {
  readonly type: string;
  readonly summary: string;
  readonly facts: Readonly<Record<string, unknown>>;
  /** The channels, unless the operator or the tenant has chosen others. */
  readonly channels: readonly string[];
}

export interface Transition {
  /** The row as it was read: the transition fails if its version or status has changed. */
  readonly task: Task;
  /** Without it the status stays (a patch). */
  readonly to?: TaskStatus | undefined;
  /** Raises the epoch although the status stays, which fences off the worker of the old epoch. */
  readonly takeOver?: boolean | undefined;
  readonly actor: string;
  readonly action: string;
  readonly detail?: Readonly<Record<string, unknown>>;
  readonly patch?: TaskPatch | undefined;
  /** Durations from now, by the database's clock. */
  readonly leaseMs?: number | undefined;
  readonly dueMs?: number | undefined;
  readonly hints?: readonly Hint[];
  readonly events?: readonly unknown[] | undefined;
  readonly notes?: readonly TaskNotification[];
}

const TransitionRow = z.object({
  ord: z.int(),
  version: z.int(),
  epoch: z.int(),
  auditSeq: z.int(),
  auditHead: z.string(),
  leaseUntil: z.date().nullable(),
  dueAt: z.date().nullable(),
  spawnedAt: z.date().nullable(),
  completedAt: z.date().nullable(),
  conditionSince: z.date().nullable(),
  updatedAt: z.date(),
});
type TransitionRow = z.infer<typeof TransitionRow>;

export interface Transitions {
  /** Returns the task as it is now. Throws StaleVersionError when another change came first, or InvalidTransitionError. */
  transition(on: Principal, asked: Transition): Promise<Task>;
}

type Query = (text: string, values: unknown[]) => Promise<Record<string, unknown>[]>;

interface PendingTransition {
  readonly transition: Transition;
  readonly resolve: (task: Task) => void;
  readonly reject: (error: unknown) => void;
}

interface Lane {
  readonly context: Principal;
  queue: PendingTransition[];
  inFlight: number;
}

/** Two statements in flight keep the connection busy; more only make batches smaller (measured: no gain from a third). */
const MAX_IN_FLIGHT = 2;
const MAX_BATCH_SIZE = 128;

export function openTransitions(query: Query): Transitions {
  const lanes = new Map<string, Lane>();

  function pump(lane: Lane): void {
    while (lane.inFlight < MAX_IN_FLIGHT && lane.queue.length > 0) {
      const batch = takeBatch(lane);
      lane.inFlight += 1;
      void runBatch(query, lane.context, batch).finally(() => {
        lane.inFlight -= 1;
        if (lane.queue.length > 0) pump(lane);
        else if (lane.inFlight === 0) lanes.delete(laneKey(lane.context));
      });
    }
  }

  return {
    transition(principal, transition) {
      if (transition.to) assertTransition(transition.task.id, transition.task.status, transition.to);
      return new Promise((resolve, reject) => {
        const key = laneKey(principal);
        const lane = lanes.get(key) ?? { context: principal, queue: [], inFlight: 0 };
        lanes.set(key, lane);
        lane.queue.push({ transition, resolve, reject });
        pump(lane);
      });
    },
  };
}

function laneKey(principal: Principal): string {
  return principal.role === "fleet_worker"
    ? principal.role
    : `${principal.tenantId}/${principal.operatorId}/${principal.scope}`;
}

/** Takes at most one transition per task, sorted by id, so that two batches lock rows in the same order. */
function takeBatch(lane: Lane): PendingTransition[] {
  const batch = new Map<string, PendingTransition>();
  const remaining: PendingTransition[] = [];
  for (const waiting of lane.queue) {
    const { id } = waiting.transition.task;
    if (batch.size < MAX_BATCH_SIZE && !batch.has(id)) batch.set(id, waiting);
    else remaining.push(waiting);
  }
  lane.queue = remaining;
  return [...batch.values()].toSorted((a, b) => (a.transition.task.id < b.transition.task.id ? -1 : 1));
}

/**
 * One bad row fails the statement, so the batch is halved until that row is alone, and only its caller gets the error. When
 * PostgreSQL is unavailable all callers get it at once: the statement may have been committed, so it is not repeated here.
 */
async function runBatch(query: Query, context: Principal, batch: readonly PendingTransition[]): Promise<void> {
  try {
    await executeBatch(query, context, batch);
  } catch (error) {
    if (batch.length > 1 && !isUnavailable(error)) {
      const half = Math.ceil(batch.length / 2);
      await runBatch(query, context, batch.slice(0, half));
      await runBatch(query, context, batch.slice(half));
      return;
    }
    if (batch.length === 1 && isRetryable(error)) {
      await executeBatch(query, context, batch).catch((retryError: unknown) => rejectAll(batch, retryError));
      return;
    }
    rejectAll(batch, error);
  }
}

function rejectAll(batch: readonly PendingTransition[], error: unknown): void {
  for (const { transition, reject } of batch) reject(toTransitionError(error, transition));
}

async function executeBatch(query: Query, context: Principal, batch: readonly PendingTransition[]): Promise<void> {
  const rows = await query("select * from fleet_transition($1, $2)", [
    JSON.stringify(context),
    JSON.stringify(batch.map(({ transition }, ord) => toTransitionInput(transition, ord))),
  ]);
  const moved = new Map(rows.map((row) => TransitionRow.parse(toCamelKeys(row))).map((row) => [row.ord, row]));
  for (const [ord, { transition, resolve, reject }] of batch.entries()) {
    const row = moved.get(ord);
    if (row) resolve(mergeTransitionRow(transition, row));
    else reject(new StaleVersionError(transition.task.id, transition.task.version, transition.task.version + 1));
  }
}

/** Does the same within an open transaction, together with other rows. */
export async function transitionTask(tx: Tx, transition: Transition): Promise<Task> {
  if (transition.to) assertTransition(transition.task.id, transition.task.status, transition.to);
  const row = await tx.maybeOne(TransitionRow)`
    select * from fleet_transition(null, ${JSON.stringify([toTransitionInput(transition, 0)])}::jsonb)`;
  if (!row) throw new StaleVersionError(transition.task.id, transition.task.version, transition.task.version + 1);
  return mergeTransitionRow(transition, row);
}

/** Moves a task back into a state that holds a slot; undefined when the operator has no free slot. Throws CapReachedError. */
export async function readmitTask(tx: Tx, transition: Transition, limit: number): Promise<Task | undefined> {
  if (transition.to) assertTransition(transition.task.id, transition.task.status, transition.to);
  await tx.run`savepoint readmission`;
  try {
    const row = await tx.one(TransitionRow)`
      select * from fleet_readmit(null, ${transition.task.operatorId}, ${limit}, ${JSON.stringify([toTransitionInput(transition, 0)])}::jsonb)`;
    return mergeTransitionRow(transition, row);
  } catch (error) {
    await tx.run`rollback to savepoint readmission`;
    if (pgErrorCode(error) === "FW002") return undefined;
    if (pgErrorCode(error) === "FW004") throw new CapReachedError(parseCap(error), new Date());
    throw toTransitionError(error, transition);
  }
}

function parseCap(error: unknown): Cap {
  const detail = typeof error === "object" && error !== null && "detail" in error ? String(error.detail) : "";
  return Cap.parse(JSON.parse(detail));
}

function toTransitionInput(
  { task, to, takeOver, patch, detail, ...rest }: Transition,
  ord: number,
): Record<string, unknown> {
  return {
    ...rest,
    ord,
    id: task.id,
    from: task.status,
    to: to ?? null,
    version: task.version,
    bump: takeOver ?? false,
    patch: snakeKeys(patch ?? {}),
    detail: { ...(to ? { from: task.status, to } : {}), attempt: patch?.attempt ?? task.attempt, ...detail },
  };
}

function mergeTransitionRow({ task, to, patch }: Transition, { ord: _ord, ...row }: TransitionRow): Task {
  return { ...task, ...patch, ...row, status: to ?? task.status };
}

function toTransitionError(error: unknown, { task, to }: Transition): unknown {
  const code = pgErrorCode(error);
  if (code === "FW001")
    return new InvalidTransitionError(task.id, task.status, to ?? task.status, VALID_TRANSITIONS[task.status]);
  if (code === "FW003") return new StaleVersionError(task.id, task.version, task.version + 1);
  if (isInvalidValue(error)) {
    return new FleetError("invalid-input", `Task ${task.id} cannot be stored: ${messageOf(error)}`, {}, error);
  }
  return toDomainError(error);
}

function toCamelKeys(row: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(row).map(([key, value]) => [camelCase(key), value]));
}
