/** fleet_config: an operator's preferences, or their tenant's where they have none. */
import { z } from "zod";
import type { Tx } from "./sql.ts";

const Value = z.object({ value: z.unknown() });

/** The operator's own value, else the tenant's (operator `*`), else undefined. Sealed values are not read here. */
export async function findConfig(
  tx: Tx,
  owner: { readonly tenantId: string; readonly operatorId: string },
  key: string,
): Promise<unknown> {
  const rows = await tx.many(Value)`
    select value from fleet_config
    where tenant_id = ${owner.tenantId} and operator_id in (${owner.operatorId}, '*') and key = ${key} and value is not null
    order by (operator_id = '*') limit 1`;
  return rows[0]?.value;
}

export async function upsertConfig(
  tx: Tx,
  owner: { readonly tenantId: string; readonly operatorId: string },
  setting: { readonly key: string; readonly value: unknown; readonly by: string },
): Promise<void> {
  await tx.run`
    insert into fleet_config (tenant_id, operator_id, key, value, updated_by)
    values (${owner.tenantId}, ${owner.operatorId}, ${setting.key}, ${JSON.stringify(setting.value)}::jsonb, ${setting.by})
    on conflict on constraint fleet_config_pkey do update
      set value = excluded.value, sealed = null, key_id = null, updated_by = excluded.updated_by, updated_at = now()`;
}
