/** kill_switches: what is stopped, in addition to what fleet.yaml stops. Only processors write them (worker role), never gc. */
import { z } from "zod";
import { EstopMode, EstopScope, FLEET_WIDE, type EstopTarget } from "../domain/task/kill-switch.ts";
import { TERMINAL_STATUSES } from "../domain/task/task.ts";
import { sql, type Tx } from "./sql.ts";

export const KillSwitch = z.object({
  tenantId: z.string(),
  scope: EstopScope,
  subject: z.string(),
  mode: EstopMode,
  reason: z.string(),
  endsOrders: z.boolean(),
  operatorId: z.string(),
  at: z.date(),
});
export type KillSwitch = z.infer<typeof KillSwitch>;

const columns = sql`tenant_id, scope, subject, mode, reason, ends_orders, operator_id, at`;

/** A second switch on the same subject replaces the first, so that the newest mode and reason hold. */
export async function upsertKillSwitch(tx: Tx, killSwitch: Omit<KillSwitch, "at">): Promise<void> {
  const { tenantId, operatorId, scope, subject, mode, reason, endsOrders } = killSwitch;
  await tx.run`
    insert into kill_switches (tenant_id, operator_id, scope, subject, mode, reason, ends_orders)
    values (${tenantId}, ${operatorId}, ${scope}, ${subject}, ${mode}, ${reason}, ${endsOrders})
    on conflict (tenant_id, scope, subject) do update
      set operator_id = excluded.operator_id, mode = excluded.mode, reason = excluded.reason,
        ends_orders = excluded.ends_orders, at = now()`;
}

/** Returns the deleted switch. */
export async function deleteKillSwitch(
  tx: Tx,
  { tenantId, scope, subject }: EstopTarget,
): Promise<KillSwitch | undefined> {
  return tx.maybeOne(KillSwitch)`
    delete from kill_switches where tenant_id = ${tenantId} and scope = ${scope} and subject = ${subject}
    returning ${columns}`;
}

/** Lists those that may hold something of a tenant, including fleet-wide ones; without a tenant, all. The primary key serves it. */
export async function listKillSwitches(tx: Tx, tenantId?: string): Promise<KillSwitch[]> {
  const where = tenantId === undefined ? sql`true` : sql`tenant_id in (${tenantId}, ${FLEET_WIDE})`;
  return tx.many(KillSwitch)`
    select ${columns} from kill_switches where ${where} order by tenant_id, scope, subject collate "C"`;
}

/** Deletes switches on single tasks that have ended. */
export async function deleteSpentSwitches(tx: Tx): Promise<void> {
  await tx.run`
    delete from kill_switches k using fleet_tasks t
    where k.scope = 'agent' and t.id::text = k.subject and t.status = any(${TERMINAL_STATUSES})`;
}
