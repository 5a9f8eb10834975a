/** fleet_config: the preferences of operators, and of tenants (operator `*`). Sealed values are decrypted elsewhere. */
import { z } from "zod";
import { sql, type Tx } from "./sql.ts";
import { ConfigRow } from "../domain/settings/preferences.ts";
import { WHOLE_TENANT } from "../domain/tenant.ts";

export interface ConfigOwner {
  readonly tenantId: string;
  readonly operatorId: string;
}

const columns = sql`c.tenant_id, c.operator_id, c.key, c.value, c.sealed, c.key_id, c.updated_by, c.updated_at`;

const Value = z.object({ value: z.unknown() });

/** Finds the operator's own value, else the tenant's. It reads no sealed values. */
export async function findConfig(tx: Tx, owner: ConfigOwner, key: string): Promise<unknown> {
  const rows = await tx.many(Value)`
    select value from fleet_config
    where tenant_id = ${owner.tenantId} and operator_id in (${owner.operatorId}, ${WHOLE_TENANT}) and key = ${key}
      and value is not null
    order by (operator_id = ${WHOLE_TENANT}) limit 1`;
  return rows[0]?.value;
}

/** Lists the owner's own values, without the tenant's. */
export async function listConfig(tx: Tx, owner: ConfigOwner): Promise<ConfigRow[]> {
  return tx.many(ConfigRow)`
    select ${columns} from fleet_config c
    where c.tenant_id = ${owner.tenantId} and c.operator_id = ${owner.operatorId} order by c.key`;
}

export interface NewConfig {
  readonly key: string;
  readonly value: unknown;
  readonly by: string;
}

export async function upsertConfig(tx: Tx, owner: ConfigOwner, setting: NewConfig): Promise<void> {
  await tx.run`
    insert into fleet_config (tenant_id, operator_id, key, value, updated_by)
    values (${owner.tenantId}, ${owner.operatorId}, ${setting.key}, ${JSON.stringify(setting.value)}::jsonb, ${setting.by})
    on conflict on constraint fleet_config_pkey do update
      set value = excluded.value, sealed = null, key_id = null, updated_by = excluded.updated_by, updated_at = now()`;
}

export async function upsertSealedConfig(
  tx: Tx,
  owner: ConfigOwner,
  setting: { readonly key: string; readonly sealed: Buffer; readonly keyId: string; readonly by: string },
): Promise<void> {
  await tx.run`
    insert into fleet_config (tenant_id, operator_id, key, sealed, key_id, updated_by)
    values (${owner.tenantId}, ${owner.operatorId}, ${setting.key}, ${setting.sealed}, ${setting.keyId}, ${setting.by})
    on conflict on constraint fleet_config_pkey do update
      set value = null, sealed = excluded.sealed, key_id = excluded.key_id, updated_by = excluded.updated_by,
        updated_at = now()`;
}

/** Returns false when it was not set. */
export async function deleteConfig(tx: Tx, owner: ConfigOwner, key: string): Promise<boolean> {
  return (
    (await tx.run`
      delete from fleet_config where tenant_id = ${owner.tenantId} and operator_id = ${owner.operatorId}
        and key = ${key}`) > 0
  );
}

/** Locks values that are sealed with one of `openable` other than `keyId`, until the transaction ends. */
export async function claimConfigToReseal(tx: Tx, { keyId, openable, limit }: ResealRequest): Promise<ConfigRow[]> {
  return tx.many(ConfigRow)`
    select ${columns} from fleet_config c
    where c.sealed is not null and c.key_id <> ${keyId} and c.key_id = any(${openable})
    order by c.tenant_id, c.operator_id, c.key limit ${limit} for update skip locked`;
}

export interface ResealRequest {
  readonly keyId: string;
  readonly openable: readonly string[];
  readonly limit: number;
}

/** Stores the same value sealed with another key, so its time and author stay. */
export async function resealConfig(
  tx: Tx,
  { tenantId, operatorId, key }: Pick<ConfigRow, "tenantId" | "operatorId" | "key">,
  { sealed, keyId }: { readonly sealed: Buffer; readonly keyId: string },
): Promise<void> {
  await tx.run`
    update fleet_config set sealed = ${sealed}, key_id = ${keyId}
    where tenant_id = ${tenantId} and operator_id = ${operatorId} and key = ${key} and sealed is not null`;
}

const SealedCount = z.object({ keyId: z.string(), settings: z.int(), signingKeys: z.int() });
export type SealedCount = z.infer<typeof SealedCount>;

/** Counts, per encryption key, the sealed preferences and the signing keys that may still sign or verify. */
export async function countSealed(tx: Tx): Promise<SealedCount[]> {
  return tx.many(SealedCount)`
    select key_id, sum(settings)::int as settings, sum(signing_keys)::int as signing_keys from (
      select key_id, 1 as settings, 0 as signing_keys from fleet_config where sealed is not null
      union all
      select sealed_with, 0, 1 from signing_keys where revoked_at is null and (retire_at is null or retire_at > now())
    ) as all_sealed group by key_id order by key_id`;
}
