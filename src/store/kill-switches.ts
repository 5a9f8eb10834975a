/** kill_switches: what is stopped on purpose, beside what fleet.yaml says. Written by the house (worker role), never by gc. */
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

/** A second one of the same scope replaces the first: the newest mode and reason count. */
export async function upsertKillSwitch(tx: Tx, killSwitch: Omit<KillSwitch, "at">): Promise<void> {
  const { tenantId, operatorId, scope, subject, mode, reason, endsOrders } = killSwitch;
  await tx.run`
    insert into kill_switches (tenant_id, operator_id, scope, subject, mode, reason, ends_orders)
    values (${tenantId}, ${operatorId}, ${scope}, ${subject}, ${mode}, ${reason}, ${endsOrders})
    on conflict (tenant_id, scope, subject) do update
      set operator_id = excluded.operator_id, mode = excluded.mode, reason = excluded.reason,
        ends_orders = excluded.ends_orders, at = now()`;
}

/** The one that was there. */
export async function deleteKillSwitch(
  tx: Tx,
  { tenantId, scope, subject }: EstopTarget,
): Promise<KillSwitch | undefined> {
  return tx.maybeOne(KillSwitch)`
    delete from kill_switches where tenant_id = ${tenantId} and scope = ${scope} and subject = ${subject}
    returning ${columns}`;
}

/** Those that may hold something of a tenant, the fleet-wide one among them; or all there are. By the primary key. */
export async function listKillSwitches(tx: Tx, tenantId?: string): Promise<KillSwitch[]> {
  const where = tenantId === undefined ? sql`true` : sql`tenant_id in (${tenantId}, ${FLEET_WIDE})`;
  return tx.many(KillSwitch)`
    select ${columns} from kill_switches where ${where} order by tenant_id, scope, subject collate "C"`;
}

/** What stopped one task has nothing left to stop once that is over. */
export async function deleteSpentSwitches(tx: Tx): Promise<void> {
  await tx.run`
    delete from kill_switches k using fleet_tasks t
    where k.scope = 'agent' and t.id::text = k.subject and t.status = any(${TERMINAL_STATUSES})`;
}
