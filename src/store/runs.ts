/** runs: each execution of a work order, with how it ended. */
import { z } from "zod";
import { type Intent } from "../domain/orders/order.ts";
import { cursorColumn, cursorShape, type PageCursor } from "./keyset.ts";
import { sql, type Tx } from "./sql.ts";
import { type RunStatus, Run } from "../domain/orders/run.ts";

export const runColumns = sql`r.id, r.tenant_id, r.operator_id, r.order_id, r.product_id, r.intent, r.attempt, r.host,
  r.worker, r.status, r.head_sha, r.exit_code, r.failure, r.message, r.transient, r.pinned, r.release, r.summary, r.dir,
  r.started_at, r.ended_at, r.collected_at`;

export async function findRun(tx: Tx, id: string): Promise<Run | undefined> {
  return tx.maybeOne(Run)`select ${runColumns} from runs r where r.id = ${id}`;
}

export type NewRun = Pick<
  Run,
  "id" | "tenantId" | "operatorId" | "orderId" | "productId" | "intent" | "attempt" | "host" | "worker" | "dir"
>;

export async function insertRun(tx: Tx, run: NewRun): Promise<Run> {
  return tx.one(Run)`
    insert into runs as r (id, tenant_id, operator_id, order_id, product_id, intent, attempt, host, worker, dir)
    values (${run.id}, ${run.tenantId}, ${run.operatorId}, ${run.orderId}, ${run.productId}, ${run.intent}, ${run.attempt},
      ${run.host}, ${run.worker}, ${run.dir})
    returning ${runColumns}`;
}

export type RunOutcome = Pick<Run, "status" | "headSha" | "exitCode" | "failure" | "message" | "transient" | "summary">;

/** Undefined when it was ended already, by the worker that took its order over. */
export async function endRun(tx: Tx, id: string, outcome: RunOutcome): Promise<Run | undefined> {
  return tx.maybeOne(Run)`
    update runs r set status = ${outcome.status}, head_sha = ${outcome.headSha}, exit_code = ${outcome.exitCode},
      failure = ${outcome.failure}, message = ${outcome.message}, transient = ${outcome.transient},
      summary = ${JSON.stringify(outcome.summary)}::jsonb, ended_at = now()
    where r.id = ${id} and r.status = 'in_progress'
    returning ${runColumns}`;
}

/** The tries of an order, the latest first. */
export async function listRunsOfOrder(tx: Tx, orderId: string): Promise<Run[]> {
  return tx.many(Run)`
    select ${runColumns} from runs r where r.order_id = ${orderId} order by r.started_at desc, r.id desc limit 50`;
}

export interface RunFilter {
  readonly productId?: string | undefined;
  readonly intent?: Intent | undefined;
  readonly status?: RunStatus | undefined;
  readonly orderId?: string | undefined;
  /** Also those that gc has put aside. */
  readonly collected?: boolean | undefined;
  readonly before?: PageCursor | undefined;
  readonly limit: number;
}

const ListedRun = Run.extend(cursorShape);

/** Newest first. */
export async function listRuns(tx: Tx, tenantId: string, filter: RunFilter): Promise<z.infer<typeof ListedRun>[]> {
  const { productId, intent, status, orderId, collected, before, limit } = filter;
  const conditions = [
    productId === undefined ? sql`` : sql` and r.product_id = ${productId}`,
    intent === undefined ? sql`` : sql` and r.intent = ${intent}`,
    status === undefined ? sql`` : sql` and r.status = ${status}`,
    orderId === undefined ? sql`` : sql` and r.order_id = ${orderId}`,
    collected ? sql`` : sql` and r.collected_at is null`,
    before === undefined ? sql`` : sql` and (r.started_at, r.id) < (${before.at}, ${before.id}::uuid)`,
  ];
  const [a, b, c, d, e, f] = conditions;
  return tx.many(ListedRun)`
    select ${runColumns}, ${cursorColumn(sql`r.started_at`)} from runs r where r.tenant_id = ${tenantId}${a}${b}${c}${d}${e}${f}
    order by r.started_at desc, r.id desc limit ${limit}`;
}

/** By a prefix of the id or of its short name, as people type it. */
export async function listRunsByName(tx: Tx, tenantId: string, name: string, limit: number): Promise<Run[]> {
  return tx.many(Run)`
    select ${runColumns} from runs r
    where r.tenant_id = ${tenantId}
      and (r.id between ${name.padEnd(32, "0")}::uuid and ${name.padEnd(32, "f")}::uuid
        or r.short_id >= ${name} and r.short_id < ${`${name}g`})
    order by r.started_at desc limit ${limit}`;
}

/** A run that is kept on purpose: gc leaves it alone. A release says which one it belongs to. */
export async function pinRun(
  tx: Tx,
  where: { readonly id: string; readonly tenantId: string },
  pin: { readonly pinned: boolean; readonly release: string | null },
): Promise<Run | undefined> {
  return tx.maybeOne(Run)`
    update runs r set pinned = ${pin.pinned}, release = ${pin.release}
    where r.id = ${where.id} and r.tenant_id = ${where.tenantId} and r.collected_at is null
    returning ${runColumns}`;
}

/** Of this host: those that were ended while nobody was there to keep their evidence. */
export async function listUnsealedRuns(tx: Tx, host: string, limit: number): Promise<Run[]> {
  return tx.many(Run)`
    select ${runColumns} from runs r where r.host = ${host} and r.unsealed order by r.started_at limit ${limit}`;
}

export async function markRunSealed(tx: Tx, id: string): Promise<void> {
  await tx.run`update runs set unsealed = false where id = ${id}`;
}

const Ids = z.object({ id: z.uuid() });

/** Which of these are not over, of runs of orders and of checks alike. */
export async function listOpenRunIds(tx: Tx, ids: readonly string[]): Promise<string[]> {
  const rows = await tx.many(Ids)`
    select id from runs where id = any(${ids}::uuid[]) and status = 'in_progress'
    union all select id from ci_runs where id = any(${ids}::uuid[]) and status = 'running'`;
  return rows.map(({ id }) => id);
}

/** The latest ended run of each product and intent of a tenant: what the planner knows. */
export async function listLatestRuns(tx: Tx, tenantId: string): Promise<Run[]> {
  return tx.many(Run)`
    select distinct on (r.product_id, r.intent) ${runColumns} from runs r
    where r.tenant_id = ${tenantId} and r.status in ('success', 'failed')
    order by r.product_id, r.intent, r.started_at desc`;
}
