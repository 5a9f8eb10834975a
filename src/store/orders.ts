/** work_orders: storing each order once, and requesting that it runs. Running one is in runs.ts and order-claims.ts. */
import { z } from "zod";
import { ordersQueue } from "../../queues/orders.ts";
import { orderEvent } from "../domain/notify/event.ts";
import { type Intent, type OrderStatus, type WorkOrder, type OrderSource, Order } from "../domain/orders/order.ts";
import { insertEvents } from "./outbox.ts";
import { cursorColumn, cursorShape, type PageCursor } from "./keyset.ts";
import { sql, type Sql, type Tx } from "./sql.ts";

export const orderColumns = sql`o.id, o.tenant_id, o.operator_id, o.product_id, o.intent, o.subject, o.inputs, o.budget,
  o.stop_conditions, o.evidence_expectations, o.policy_refs, o.priority, o.score, o.reasons, o.status, o.reason, o.source,
  o.plan_id, o.schedule_id, o.slot_at, o.batch_id, o.requested_at, o.attempt, o.crashes, o.worker, o.host, o.lease_until,
  o.due_at, o.result, o.version, o.epoch, o.completed_at, o.created_at, o.updated_at`;

/** An order to store. `order.job_id` becomes its id. */
export interface NewOrder {
  readonly order: WorkOrder;
  readonly source: OrderSource;
  readonly subject?: string;
  readonly score?: number;
  readonly reasons?: readonly string[];
  readonly scheduleId?: string;
  readonly slotAt?: Date;
}

/**
 * Stores the orders that do not exist yet: an open order of the same product, intent and subject, or one of the same slot of a
 * schedule, replaces a new one. Returns the new rows.
 */
export async function insertOrders(
  tx: Tx,
  owner: { readonly tenantId: string; readonly operatorId: string },
  orders: readonly NewOrder[],
): Promise<Order[]> {
  if (orders.length === 0) return [];
  const rows = orders.map(({ order, source, subject = "", score = 0, reasons = [], scheduleId, slotAt }) => ({
    ...order,
    source,
    subject,
    score,
    reasons,
    schedule_id: scheduleId ?? null,
    slot_at: slotAt?.toISOString() ?? null,
  }));
  const made = await tx.many(Order)`
    insert into work_orders as o (id, tenant_id, operator_id, product_id, intent, subject, inputs, budget, stop_conditions,
      evidence_expectations, policy_refs, priority, score, reasons, source, plan_id, schedule_id, slot_at, created_at)
    select job_id, ${owner.tenantId}, ${owner.operatorId}, product_id, intent, subject, inputs, budget, stop_conditions,
      evidence_expectations, policy_refs, priority, score, reasons, source, plan_id, schedule_id, slot_at, created_at
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as wanted (job_id uuid, product_id text, intent text, subject text,
      inputs jsonb, budget jsonb, stop_conditions jsonb, evidence_expectations jsonb, policy_refs jsonb, priority integer,
      score integer, reasons jsonb, source text, plan_id uuid, schedule_id text, slot_at timestamptz, created_at timestamptz)
    on conflict do nothing
    returning ${orderColumns}`;
  await insertEvents(
    tx,
    made.map((order) => orderEvent({ order, from: null, actor: owner.operatorId, at: order.updatedAt })),
  );
  return made;
}

/**
 * Requests that pending orders run as one batch: one after another, the most urgent first, so that a stop condition of one may
 * end the rest. An order that was requested before stays as it is. Worker role.
 */
export async function requestOrders(tx: Tx, ids: readonly string[], batchId: string): Promise<Order[]> {
  const requested = await tx.many(Order)`
    with requested as (
      update work_orders o set requested_at = now(), batch_id = ${batchId}, version = version + 1, updated_at = now()
      where id = any(${ids}::uuid[]) and status = 'pending' and requested_at is null
      returning ${orderColumns}
    )
    select * from requested order by priority desc, created_at, id`;
  if (requested.length > 0) await advanceBatches(tx, [batchId]);
  return requested;
}

/** Makes the next order of each batch due and queues its hint, unless one of the batch is due or running. */
export async function advanceBatches(tx: Tx, batchIds: readonly string[]): Promise<void> {
  await tx.run`
    with next as (
      select distinct on (o.batch_id) o.id from work_orders o
      where o.batch_id = any(${batchIds}::uuid[]) and o.status = 'pending' and o.requested_at is not null
        and not exists (select from work_orders b where b.batch_id = o.batch_id
          and (b.status = 'running' or (b.status = 'pending' and b.due_at is not null)))
      order by o.batch_id, o.priority desc, o.created_at, o.id
    ), due as (
      update work_orders o set due_at = now() from next where o.id = next.id
      returning o.id, o.tenant_id, o.operator_id, o.epoch
    )
    ${hintsInsert(sql`due`)}`;
}

/** Queues the hints of due orders under their current epoch. */
export async function insertOrderHints(tx: Tx, ids: readonly string[]): Promise<void> {
  await tx.run`
    with due as (
      select id, tenant_id, operator_id, epoch from work_orders
      where id = any(${ids}::uuid[]) and status = 'pending' and due_at is not null
    )
    ${hintsInsert(sql`due`)}`;
}

function hintsInsert(rows: Sql): Sql {
  return sql`insert into outbox (tenant_id, operator_id, topic, dedup_key, payload)
    select tenant_id, operator_id, ${ordersQueue.name}, ${`${ordersQueue.name}/order_`} || id || '_e' || epoch,
      jsonb_build_object('orderId', id, 'epoch', epoch)
    from ${rows} on conflict on constraint outbox_dedup_key do nothing`;
}

export async function findOrder(tx: Tx, id: string): Promise<Order | undefined> {
  return tx.maybeOne(Order)`select ${orderColumns} from work_orders o where o.id = ${id}`;
}

/** Finds the open order that keeps a new one from being stored. */
export async function findOpenOrder(
  tx: Tx,
  where: Pick<Order, "tenantId" | "productId" | "intent" | "subject">,
): Promise<Order | undefined> {
  return tx.maybeOne(Order)`
    select ${orderColumns} from work_orders o
    where o.tenant_id = ${where.tenantId} and o.product_id = ${where.productId} and o.intent = ${where.intent}
      and o.subject = ${where.subject} and o.status in ('pending', 'running')`;
}

/** Lists those whose id or short name begins with `name`, as people type it. */
export async function listOrdersByName(tx: Tx, tenantId: string, name: string, limit: number): Promise<Order[]> {
  return tx.many(Order)`
    select ${orderColumns} from work_orders o
    where o.tenant_id = ${tenantId}
      and (o.id between ${name.padEnd(32, "0")}::uuid and ${name.padEnd(32, "f")}::uuid
        or o.short_id >= ${name} and o.short_id < ${`${name}g`})
    order by o.created_at desc limit ${limit}`;
}

export interface OrderFilter {
  readonly productId?: string | undefined;
  readonly intent?: Intent | undefined;
  readonly status?: OrderStatus | undefined;
  readonly planId?: string | undefined;
  readonly batchId?: string | undefined;
  /** Keyset: only orders older than this one. */
  readonly before?: PageCursor | undefined;
  readonly limit: number;
}

const ListedOrder = Order.extend(cursorShape);

export async function listOrders(tx: Tx, filter: OrderFilter): Promise<z.infer<typeof ListedOrder>[]> {
  const { productId, intent, status, planId, batchId, before, limit } = filter;
  const conditions = [
    productId === undefined ? sql`` : sql` and o.product_id = ${productId}`,
    intent === undefined ? sql`` : sql` and o.intent = ${intent}`,
    status === undefined ? sql`` : sql` and o.status = ${status}`,
    planId === undefined ? sql`` : sql` and o.plan_id = ${planId}`,
    batchId === undefined ? sql`` : sql` and o.batch_id = ${batchId}`,
    before === undefined ? sql`` : sql` and (o.created_at, o.id) < (${before.at}, ${before.id}::uuid)`,
  ];
  const [a, b, c, d, e, f] = conditions;
  return tx.many(ListedOrder)`
    select ${orderColumns}, ${cursorColumn(sql`o.created_at`)} from work_orders o where true${a}${b}${c}${d}${e}${f}
    order by o.created_at desc, o.id desc limit ${limit}`;
}

/** Counts the unfinished orders of a schedule. */
export async function countOpenOfSchedule(tx: Tx, tenantId: string, scheduleId: string): Promise<number> {
  const row = await tx.one(z.object({ open: z.int() }))`
    select count(*)::int as open from work_orders
    where tenant_id = ${tenantId} and schedule_id = ${scheduleId} and status in ('pending', 'running')`;
  return row.open;
}

/**
 * Assigns planned orders that were not requested to the slot of a schedule that wants the same. Returns them; request them
 * afterwards.
 */
export async function adoptOrders(
  tx: Tx,
  product: { readonly tenantId: string; readonly productId: string },
  intents: readonly Intent[],
  slot: { readonly scheduleId: string; readonly slotAt: Date },
): Promise<Order[]> {
  return tx.many(Order)`
    update work_orders o set schedule_id = ${slot.scheduleId}, slot_at = ${slot.slotAt}, version = version + 1,
      updated_at = now()
    where o.tenant_id = ${product.tenantId} and o.product_id = ${product.productId} and o.intent = any(${intents}::text[])
      and o.subject = '' and o.status = 'pending' and o.requested_at is null and o.schedule_id is null
    returning ${orderColumns}`;
}

/** Lists pending orders that were not requested yet, the most urgent first. */
export async function listPendingOrders(
  tx: Tx,
  filter: { readonly tenantId: string; readonly products: readonly string[]; readonly limit: number },
): Promise<Order[]> {
  return tx.many(Order)`
    select ${orderColumns} from work_orders o
    where o.tenant_id = ${filter.tenantId} and o.product_id = any(${filter.products}) and o.status = 'pending'
      and o.requested_at is null
    order by o.priority desc, o.created_at, o.id limit ${filter.limit}`;
}

/** Converts a row to the record of the published schema, which is shown and stored as a file. */
export function toWorkOrder(order: Order): WorkOrder {
  return {
    job_id: order.id,
    product_id: order.productId,
    intent: order.intent,
    inputs: order.inputs,
    budget: order.budget,
    stop_conditions: order.stopConditions,
    priority: order.priority,
    evidence_expectations: order.evidenceExpectations,
    created_at: order.updatedAt.toISOString(),
    status: order.status,
    result: order.result,
    plan_id: order.planId,
    policy_refs: order.policyRefs,
  };
}
