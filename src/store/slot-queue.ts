/** The queue for host slots: which tasks wait, which were called, and who was served when. Worker role. */
import { z } from "zod";
import type { WaitingTask } from "../domain/fair-queue.ts";
import { sql, type Tx } from "./sql.ts";

const SlotWaiter = z.object({
  id: z.uuid(),
  tenantId: z.string(),
  operatorId: z.string(),
  createdAt: z.date(),
  tenantServed: z.number(),
  operatorServed: z.number(),
  isCalledAgain: z.boolean(),
});

/** The predicates of the indexes fleet_tasks_in_line and fleet_tasks_called, word for word, so that they are used. */
const isWaiting = sql`t.condition = 'waiting_slot' and t.waiting_for = 'spawn' and t.condition_detail ? 'host'`;
const isCalled = sql`t.condition = 'ok' and t.waiting_for = 'spawn' and t.condition_detail ? 'called'`;

/** Lists each operator's oldest waiting tasks, in one index step per waiting operator, however many tasks wait. */
export async function listSlotQueue(tx: Tx, perOperator: number): Promise<WaitingTask[]> {
  return tx.many(SlotWaiter)`
    with recursive who as (
      (select t.tenant_id, t.operator_id from fleet_tasks t where ${isWaiting} order by t.tenant_id, t.operator_id limit 1)
      union all
      select next.tenant_id, next.operator_id from who cross join lateral (
        select t.tenant_id, t.operator_id from fleet_tasks t
        where ${isWaiting} and (t.tenant_id, t.operator_id) > (who.tenant_id, who.operator_id)
        order by t.tenant_id, t.operator_id limit 1) as next
    )
    select first.id, who.tenant_id, who.operator_id, first.created_at, first.is_called_again,
      coalesce((select served from turns where tenant_id = who.tenant_id and operator_id = '*'), 0)::float8 as tenant_served,
      coalesce((select served from turns where tenant_id = who.tenant_id and operator_id = who.operator_id), 0)::float8
        as operator_served
    from who cross join lateral (
      select t.id, t.created_at, coalesce(t.condition_detail ? 'again', false) as is_called_again from fleet_tasks t
      where ${isWaiting} and t.tenant_id = who.tenant_id and t.operator_id = who.operator_id
      order by t.created_at, t.id limit ${perOperator}) as first`;
}

export async function hasSlotWaiters(tx: Tx): Promise<boolean> {
  const row = await tx.one(z.object({ any: z.boolean() }))`
    select exists (select from fleet_tasks t where ${isWaiting}) as any`;
  return row.any;
}

/** Counts tasks that were called but have not taken their slot yet: those slots are not free. */
export async function countCalledTasks(tx: Tx): Promise<number> {
  const row = await tx.one(z.object({ called: z.int() }))`
    select count(*)::int as called from fleet_tasks t where ${isCalled}`;
  return row.called;
}

/** Moves the tenants and operators of the called tasks to the end of the queue, in this order. */
export async function markServed(
  tx: Tx,
  served: readonly { readonly tenantId: string; readonly operatorId: string }[],
): Promise<void> {
  await tx.run`
    insert into turns (tenant_id, operator_id, served)
    select c."tenantId", owner.id, max(c.n) from (
        select *, nextval('turns_served') as n
        from jsonb_to_recordset(${JSON.stringify(served)}::jsonb) as one ("tenantId" text, "operatorId" text)) as c
      cross join lateral (values (c."operatorId"), ('*')) as owner(id)
    group by c."tenantId", owner.id order by c."tenantId", owner.id
    on conflict on constraint turns_pkey do update set served = excluded.served`;
}
