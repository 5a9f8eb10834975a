/** The line before the hosts: who waits for a slot, who was called, and who was served when. Worker role. */
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

/** As the index fleet_tasks_in_line says it. */
const isWaiting = sql`t.condition = 'waiting_slot' and t.waiting_for = 'spawn' and t.condition_detail ? 'host'`;
const isCalled = sql`t.condition = 'ok' and t.waiting_for = 'spawn' and t.condition_detail ? 'called'`;

/** Each operator's oldest, at most `each` of them: one step in the index per operator who waits, however many tasks they have. */
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

/** Called to a slot and not there yet: those slots are not free. */
export async function countCalledTasks(tx: Tx): Promise<number> {
  const row = await tx.one(z.object({ called: z.int() }))`
    select count(*)::int as called from fleet_tasks t where ${isCalled}`;
  return row.called;
}

/** These were called, in this order: to the end of the line with their tenants and operators. */
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
