/** Transitions of tasks: alone when idle, many in one statement when many are asked at once (adaptive group commit). */
import { z } from "zod";
import { Cap, CapReachedError } from "../domain/budget.ts";
import { FleetError, InvalidTransitionError, StaleVersionError } from "../domain/errors.ts";
import { assertTransition, type Task, type TaskStatus, VALID_TRANSITIONS } from "../domain/task/task.ts";
import { codeOf, isAway, isRefusedValue, mayTryAgain, translate } from "./failures.ts";
import type { Hint } from "./outbox.ts";
import { camelCase, snakeKeys, type Tx } from "./sql.ts";
import type { Behalf } from "./store.ts";

/** Columns a transition or patch may set; whatever is left out stays. */
export type TaskPatch = Partial<
  Pick<
    Task,
    | "host"
    | "agentType"
    | "model"
    | "routingReason"
    | "branch"
    | "workspacePath"
    | "containerId"
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

export interface Note {
  readonly type: string;
  readonly summary: string;
  readonly facts: Readonly<Record<string, unknown>>;
  /** Where it goes unless the operator or the tenant chose otherwise. */
  readonly channels: readonly string[];
}

export interface Transition {
  /** The row as it was read: its version and status are the condition. */
  readonly task: Task;
  /** Left out: the status stays (a patch). */
  readonly to?: TaskStatus | undefined;
  /** Raise the epoch although the status stays: whoever worked under the old one is fenced off. */
  readonly takeOver?: boolean | undefined;
  readonly actor: string;
  readonly action: string;
  readonly detail?: Readonly<Record<string, unknown>>;
  readonly patch?: TaskPatch | undefined;
  /** Durations from now in database time. */
  readonly leaseMs?: number | undefined;
  readonly dueMs?: number | undefined;
  readonly hints?: readonly Hint[];
  readonly events?: readonly unknown[] | undefined;
  readonly notes?: readonly Note[];
}

const Moved = z.object({
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
type Moved = z.infer<typeof Moved>;

export interface Transitions {
  /** The task as it now is, or StaleVersionError when another was first, or InvalidTransitionError. */
  move(on: Behalf, asked: Transition): Promise<Task>;
}

type Query = (text: string, values: unknown[]) => Promise<Record<string, unknown>[]>;

interface Waiting {
  readonly asked: Transition;
  readonly done: (task: Task) => void;
  readonly failed: (error: unknown) => void;
}

interface Lane {
  readonly context: Behalf;
  queue: Waiting[];
  inFlight: number;
}

/** Two in flight keep the pipe full; more only makes batches smaller (measured: no gain from a third connection). */
const MOST_IN_FLIGHT = 2;
const MOST_IN_BATCH = 128;

export function openTransitions(query: Query): Transitions {
  const lanes = new Map<string, Lane>();

  function pump(lane: Lane): void {
    while (lane.inFlight < MOST_IN_FLIGHT && lane.queue.length > 0) {
      const batch = takeBatch(lane);
      lane.inFlight += 1;
      void settle(query, lane.context, batch).finally(() => {
        lane.inFlight -= 1;
        if (lane.queue.length > 0) pump(lane);
        else if (lane.inFlight === 0) lanes.delete(keyOf(lane.context));
      });
    }
  }

  return {
    move(on, asked) {
      if (asked.to) assertTransition(asked.task.id, asked.task.status, asked.to);
      return new Promise((done, failed) => {
        const key = keyOf(on);
        const lane = lanes.get(key) ?? { context: on, queue: [], inFlight: 0 };
        lanes.set(key, lane);
        lane.queue.push({ asked, done, failed });
        pump(lane);
      });
    },
  };
}

function keyOf(on: Behalf): string {
  return on.role === "fleet_worker" ? on.role : `${on.tenantId}/${on.operatorId}/${on.scope}`;
}

/** Never two transitions of one task in a batch; sorted by id, so that two batches lock in one order. */
function takeBatch(lane: Lane): Waiting[] {
  const batch = new Map<string, Waiting>();
  const left: Waiting[] = [];
  for (const waiting of lane.queue) {
    const { id } = waiting.asked.task;
    if (batch.size < MOST_IN_BATCH && !batch.has(id)) batch.set(id, waiting);
    else left.push(waiting);
  }
  lane.queue = left;
  return [...batch.values()].toSorted((a, b) => (a.asked.task.id < b.asked.task.id ? -1 : 1));
}

/**
 * One bad row fails the statement: halves are asked until it is alone, and only it learns of that. When PostgreSQL is away
 * all of them learn it at once; whether the statement was committed is then not known, so nothing is asked again here.
 */
async function settle(query: Query, context: Behalf, batch: readonly Waiting[]): Promise<void> {
  try {
    await tell(query, context, batch);
  } catch (error) {
    if (batch.length > 1 && !isAway(error)) {
      const half = Math.ceil(batch.length / 2);
      await settle(query, context, batch.slice(0, half));
      await settle(query, context, batch.slice(half));
      return;
    }
    if (batch.length === 1 && mayTryAgain(error)) {
      await tell(query, context, batch).catch((again: unknown) => failAll(batch, again));
      return;
    }
    failAll(batch, error);
  }
}

function failAll(batch: readonly Waiting[], error: unknown): void {
  for (const { asked, failed } of batch) failed(explain(error, asked));
}

async function tell(query: Query, context: Behalf, batch: readonly Waiting[]): Promise<void> {
  const rows = await query("select * from fleet_transition($1, $2)", [
    JSON.stringify(context),
    JSON.stringify(batch.map(({ asked }, ord) => toAsk(asked, ord))),
  ]);
  const moved = new Map(rows.map((row) => Moved.parse(camelKeys(row))).map((row) => [row.ord, row]));
  for (const [ord, { asked, done, failed }] of batch.entries()) {
    const row = moved.get(ord);
    if (row) done(after(asked, row));
    else failed(new StaleVersionError(asked.task.id, asked.task.version, asked.task.version + 1));
  }
}

/** The same act inside an open transaction, together with other rows. */
export async function transitionTask(tx: Tx, asked: Transition): Promise<Task> {
  if (asked.to) assertTransition(asked.task.id, asked.task.status, asked.to);
  const row = await tx.maybeOne(Moved)`
    select * from fleet_transition(null, ${JSON.stringify([toAsk(asked, 0)])}::jsonb)`;
  if (!row) throw new StaleVersionError(asked.task.id, asked.task.version, asked.task.version + 1);
  return after(asked, row);
}

/** Back into a slot-holding state through the gate; undefined when the operator has no free slot. Throws CapReachedError. */
export async function readmitTask(tx: Tx, asked: Transition, limit: number): Promise<Task | undefined> {
  if (asked.to) assertTransition(asked.task.id, asked.task.status, asked.to);
  await tx.run`savepoint readmission`;
  try {
    const row = await tx.one(Moved)`
      select * from fleet_readmit(null, ${asked.task.operatorId}, ${limit}, ${JSON.stringify([toAsk(asked, 0)])}::jsonb)`;
    return after(asked, row);
  } catch (error) {
    await tx.run`rollback to savepoint readmission`;
    if (codeOf(error) === "FW002") return undefined;
    if (codeOf(error) === "FW004") throw new CapReachedError(capOf(error), new Date());
    throw explain(error, asked);
  }
}

function capOf(error: unknown): Cap {
  const said = typeof error === "object" && error !== null && "detail" in error ? String(error.detail) : "";
  return Cap.parse(JSON.parse(said));
}

function toAsk({ task, to, takeOver, patch, detail, ...asked }: Transition, ord: number): Record<string, unknown> {
  return {
    ...asked,
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

function after({ task, to, patch }: Transition, { ord: _ord, ...row }: Moved): Task {
  return { ...task, ...patch, ...row, status: to ?? task.status };
}

function explain(error: unknown, { task, to }: Transition): unknown {
  const code = codeOf(error);
  if (code === "FW001")
    return new InvalidTransitionError(task.id, task.status, to ?? task.status, VALID_TRANSITIONS[task.status]);
  if (code === "FW003") return new StaleVersionError(task.id, task.version, task.version + 1);
  if (isRefusedValue(error)) {
    return new FleetError("invalid-input", `Task ${task.id} cannot be stored so: ${messageOf(error)}`, {}, error);
  }
  return translate(error);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function camelKeys(row: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(row).map(([key, value]) => [camelCase(key), value]));
}
