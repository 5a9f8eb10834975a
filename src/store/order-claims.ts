/**
 * work_orders while they are carried out: claimed by one worker under a lease, settled by whoever still holds it, one after
 * another within a batch. Lock order: the order itself, then the others of its batch. Worker role.
 */
import { z } from "zod";
import type { OrderResult } from "../domain/orders/order.ts";
import { insertOrderHints, orderColumns } from "./orders.ts";
import type { Tx } from "./sql.ts";
import { Order } from "../domain/orders/order.ts";

export interface OrderClaim {
  readonly orderId: string;
  readonly epoch: number;
  readonly worker: string;
}

/** Claims it when its turn has come and nobody works on it; undefined otherwise. */
export async function claimOrder(
  tx: Tx,
  claim: OrderClaim & { readonly host: string; readonly leaseMs: number },
): Promise<Order | undefined> {
  return tx.maybeOne(Order)`
    update work_orders o set status = 'running', worker = ${claim.worker}, host = ${claim.host}, due_at = null, reason = null,
      lease_until = now() + ${claim.leaseMs}::float8 * interval '1 ms', version = version + 1, updated_at = now()
    where o.id = ${claim.orderId} and o.epoch = ${claim.epoch} and o.status = 'pending' and o.due_at is not null
    returning ${orderColumns}`;
}

/** False when the claim was lost meanwhile: the result then belongs to nobody. */
export async function renewOrderLease(
  tx: Tx,
  { orderId, epoch, worker }: OrderClaim,
  leaseMs: number,
): Promise<boolean> {
  const renewed = await tx.run`
    update work_orders set lease_until = now() + ${leaseMs}::float8 * interval '1 ms'
    where id = ${orderId} and epoch = ${epoch} and worker = ${worker} and status = 'running'`;
  return renewed > 0;
}

export interface OrderOutcome {
  readonly status: "completed" | "failed" | "skipped";
  readonly reason: string | null;
  readonly result: OrderResult;
}

/** Undefined when the claim was lost meanwhile. */
export async function settleOrder(
  tx: Tx,
  { orderId, epoch, worker }: OrderClaim,
  outcome: OrderOutcome,
): Promise<Order | undefined> {
  return tx.maybeOne(Order)`
    update work_orders o set status = ${outcome.status}, reason = ${outcome.reason}, result = ${JSON.stringify(outcome.result)}::jsonb,
      lease_until = null, completed_at = now(), version = version + 1, updated_at = now()
    where o.id = ${orderId} and o.epoch = ${epoch} and o.worker = ${worker} and o.status = 'running'
    returning ${orderColumns}`;
}

/** Gives a claimed order back: to be tried once more (`healed`), or because this process is leaving. Its job stays the same. */
export async function releaseOrder(
  tx: Tx,
  { orderId, epoch, worker }: OrderClaim,
  { healed: isRetry, dueMs }: { readonly healed: boolean; readonly dueMs: number },
): Promise<Order | undefined> {
  return tx.maybeOne(Order)`
    update work_orders o set status = 'pending', attempt = attempt + ${isRetry ? 1 : 0}, worker = null, lease_until = null,
      due_at = now() + ${dueMs}::float8 * interval '1 ms', version = version + 1, updated_at = now()
    where o.id = ${orderId} and o.epoch = ${epoch} and o.worker = ${worker} and o.status = 'running'
    returning ${orderColumns}`;
}

/** A claimed order that may not begin: as it was before, with the reason for its waiting. */
export async function deferOrder(
  tx: Tx,
  { id, version }: Order,
  { reason, dueMs }: { readonly reason: string; readonly dueMs: number },
): Promise<Order | undefined> {
  return tx.maybeOne(Order)`
    update work_orders o set status = 'pending', reason = ${reason}, worker = null, lease_until = null,
      due_at = now() + ${dueMs}::float8 * interval '1 ms', version = version + 1, updated_at = now()
    where o.id = ${id} and o.version = ${version}
    returning ${orderColumns}`;
}

/** What is left of a batch is not done, and says why. */
export async function skipBatch(tx: Tx, batchId: string, { reason, at }: SkipReason): Promise<Order[]> {
  return tx.many(Order)`
    update work_orders o set status = 'skipped', reason = ${reason}, due_at = null, completed_at = now(),
      result = ${skippedResult(reason, at)}::jsonb, version = version + 1, updated_at = now()
    where o.batch_id = ${batchId} and o.status = 'pending'
    returning ${orderColumns}`;
}

/** The same for one; undefined when it moved meanwhile. */
export async function skipOrder(
  tx: Tx,
  { id, version }: Order,
  { reason, at }: SkipReason,
): Promise<Order | undefined> {
  return tx.maybeOne(Order)`
    update work_orders o set status = 'skipped', reason = ${reason}, due_at = null, lease_until = null,
      completed_at = now(), result = ${skippedResult(reason, at)}::jsonb, version = version + 1, updated_at = now()
    where o.id = ${id} and o.version = ${version}
    returning ${orderColumns}`;
}

interface SkipReason {
  readonly reason: string;
  readonly at: Date;
}

function skippedResult(reason: string, at: Date): string {
  const result: OrderResult = {
    exit_code: null,
    started_at: null,
    completed_at: at.toISOString(),
    duration_seconds: 0,
    evidence_produced: [],
    error_message: reason,
  };
  return JSON.stringify(result);
}

/** Whose turn has come and whom nobody took: the hint may be lost. */
export async function listOverdueOrders(tx: Tx, graceMs: number, limit: number): Promise<Order[]> {
  return tx.many(Order)`
    select ${orderColumns} from work_orders o
    where o.status = 'pending' and o.requested_at is not null
      and o.due_at < now() - ${graceMs}::float8 * interval '1 ms'
    order by o.due_at limit ${limit}`;
}

/** Looked after: left alone for a while. */
export async function postponeOrders(tx: Tx, ids: readonly string[], ms: number): Promise<void> {
  await tx.run`
    update work_orders set due_at = now() + ${ms}::float8 * interval '1 ms'
    where id = any(${ids}::uuid[]) and status = 'pending'`;
}

/** Under a new epoch, since the queue ignores an id it still keeps. */
export async function reissueOrders(tx: Tx, ids: readonly string[], ms: number): Promise<void> {
  await tx.run`
    update work_orders set epoch = epoch + 1, due_at = now() + ${ms}::float8 * interval '1 ms', version = version + 1,
      updated_at = now()
    where id = any(${ids}::uuid[]) and status = 'pending' and due_at is not null`;
  await insertOrderHints(tx, ids);
}

const Ids = z.object({ id: z.uuid() });

/** Their workers are dead, or think that they work and do not. */
export async function lockExpiredOrders(tx: Tx, limit: number): Promise<string[]> {
  const rows = await tx.many(Ids)`
    select id from work_orders where status = 'running' and lease_until < now()
    order by lease_until limit ${limit} for update skip locked`;
  return rows.map(({ id }) => id);
}

/**
 * Their runs are over, and they are to be run again under a new epoch; those that cost too many workers have failed. The
 * epoch fences the dead worker off should it wake.
 */
export async function takeOverOrders(
  tx: Tx,
  ids: readonly string[],
  { maxCrashes, reason, at }: { readonly maxCrashes: number; readonly reason: string; readonly at: Date },
): Promise<Order[]> {
  await tx.run`
    update runs set status = 'cancelled', failure = 'worker_died', message = 'Its worker died.', ended_at = now(),
      unsealed = true
    where order_id = any(${ids}::uuid[]) and status = 'in_progress'`;
  return tx.many(Order)`
    update work_orders o set epoch = epoch + 1, crashes = crashes + 1, worker = null, lease_until = null,
      status = case when crashes >= ${maxCrashes} then 'failed' else 'pending' end,
      reason = case when crashes >= ${maxCrashes} then ${reason} end,
      result = case when crashes >= ${maxCrashes} then ${skippedResult(reason, at)}::jsonb end,
      completed_at = case when crashes >= ${maxCrashes} then now() end,
      due_at = case when crashes < ${maxCrashes} then now() end,
      version = version + 1, updated_at = now()
    where o.id = any(${ids}::uuid[])
    returning ${orderColumns}`;
}
