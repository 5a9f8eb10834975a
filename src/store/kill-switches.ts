/** kill_switches: what is stopped on purpose, beside what fleet.yaml says. Written by the house (worker role), never by gc. */
import { z } from "zod";
import type { Tx } from "./sql.ts";

export const KillSwitch = z.object({
  tenantId: z.string(),
  operatorId: z.string(),
  subject: z.string(),
  reason: z.string(),
  at: z.date(),
});
export type KillSwitch = z.infer<typeof KillSwitch>;

export interface ProductKey {
  readonly tenantId: string;
  readonly productId: string;
}

/** A second one replaces the first: the newest reason counts. */
export async function putKillSwitch(
  tx: Tx,
  { tenantId, productId }: ProductKey,
  by: { readonly operatorId: string; readonly reason: string },
): Promise<void> {
  await tx.run`
    insert into kill_switches (tenant_id, operator_id, scope, subject, reason)
    values (${tenantId}, ${by.operatorId}, 'product', ${productId}, ${by.reason})
    on conflict (tenant_id, scope, subject) do update
      set operator_id = excluded.operator_id, reason = excluded.reason, at = now()`;
}

/** Whether there was one. */
export async function dropKillSwitch(tx: Tx, { tenantId, productId }: ProductKey): Promise<boolean> {
  const dropped = await tx.run`
    delete from kill_switches where tenant_id = ${tenantId} and scope = 'product' and subject = ${productId}`;
  return dropped > 0;
}

export async function findKillSwitch(tx: Tx, { tenantId, productId }: ProductKey): Promise<KillSwitch | undefined> {
  return tx.maybeOne(KillSwitch)`
    select tenant_id, operator_id, subject, reason, at from kill_switches
    where tenant_id = ${tenantId} and scope = 'product' and subject = ${productId}`;
}

/** Those of a tenant's products, or of all. */
export async function listKillSwitches(tx: Tx, tenantId?: string): Promise<KillSwitch[]> {
  return tx.many(KillSwitch)`
    select tenant_id, operator_id, subject, reason, at from kill_switches
    where scope = 'product' and (${tenantId ?? null}::text is null or tenant_id = ${tenantId ?? null})
    order by tenant_id, subject collate "C"`;
}
