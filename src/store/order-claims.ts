/**
 * work_orders while they run: one worker claims an order under a lease, and only the holder of the lease settles it. Orders of a
 * batch run one after another. Lock order: the order itself, then the others of its batch. Worker role.
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

/** Claims it when it is due and no worker has it; undefined otherwise. */
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

/** Returns false when the claim was lost: the result must then be discarded. */
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

/** Returns undefined when the claim was lost. */
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

/** Releases a claimed order, for another attempt (`healed`) or because this process is shutting down. Its job stays the same. */
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

/** Returns a claimed order that may not start to the queue, with the reason why it waits. */
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

/** Skips the remaining orders of a batch, with the reason. */
export async function skipBatch(tx: Tx, batchId: string, { reason, at }: SkipReason): Promise<Order[]> {
  return tx.many(Order)`
    update work_orders o set status = 'skipped', reason = ${reason}, due_at = null, completed_at = now(),
      result = ${skippedResult(reason, at)}::jsonb, version = version + 1, updated_at = now()
    where o.batch_id = ${batchId} and o.status = 'pending'
    returning ${orderColumns}`;
}

/** Skips one order; undefined when it has changed meanwhile. */
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

/** Lists due orders that no worker has claimed: their hints may be lost. */
export async function listOverdueOrders(tx: Tx, graceMs: number, limit: number): Promise<Order[]> {
  return tx.many(Order)`
    select ${orderColumns} from work_orders o
    where o.status = 'pending' and o.requested_at is not null
      and o.due_at < now() - ${graceMs}::float8 * interval '1 ms'
    order by o.due_at limit ${limit}`;
}

/** Postpones orders whose jobs exist, so that the reconciler does not check them again at once. */
export async function postponeOrders(tx: Tx, ids: readonly string[], ms: number): Promise<void> {
  await tx.run`
    update work_orders set due_at = now() + ${ms}::float8 * interval '1 ms'
    where id = any(${ids}::uuid[]) and status = 'pending'`;
}

/** Issues new jobs under a new epoch, because the queue ignores an id that it still has. */
export async function reissueOrders(tx: Tx, ids: readonly string[], ms: number): Promise<void> {
  await tx.run`
    update work_orders set epoch = epoch + 1, due_at = now() + ${ms}::float8 * interval '1 ms', version = version + 1,
      updated_at = now()
    where id = any(${ids}::uuid[]) and status = 'pending' and due_at is not null`;
  await insertOrderHints(tx, ids);
}

const Ids = z.object({ id: z.uuid() });

/** Locks running orders whose workers have died, or hang. */
export async function lockExpiredOrders(tx: Tx, limit: number): Promise<string[]> {
  const rows = await tx.many(Ids)`
    select id from work_orders where status = 'running' and lease_until < now()
    order by lease_until limit ${limit} for update skip locked`;
  return rows.map(({ id }) => id);
}

/**
 * Ends their runs and lets them run again under a new epoch; orders that have crashed too many workers fail. The epoch fences
 * off the old worker in case it wakes up.
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
