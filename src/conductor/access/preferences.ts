/** Settings that an operator, or a tenant for all of its operators, keeps in the database: read, set, and what becomes of secrets. */
import { FleetError } from "../../domain/errors.ts";
import { tierReaches, type Operator } from "../../domain/operator.ts";
import { preferenceOf, PREFERENCES, readPreference } from "../../domain/settings/preferences.ts";
import {
  deleteConfig,
  findConfig,
  listConfig,
  upsertConfig,
  upsertSealed,
  WHOLE_TENANT,
  type ConfigOwner,
  type ConfigRow,
} from "../../store/config.ts";
import { auditOperator } from "../../store/operators.ts";
import type { Tx } from "../../store/sql.ts";
import { requestBy, WORKER, type Behalf } from "../../store/store.ts";
import type { Fleet } from "../fleet.ts";
import { boundTo, openSetting } from "./reseal.ts";

/** For oneself, or for the whole tenant. */
export interface ConfigScope {
  readonly tenant: boolean;
}

export interface Setting {
  readonly key: string;
  readonly sealed: boolean;
  /** Of a sealed one, what may be shown: nothing of a secret. */
  readonly value: unknown;
  /** The last letters of a fingerprint of a sealed one, to tell two values apart. */
  readonly fingerprint: string | null;
  /** Which key it is sealed under. */
  readonly keyId: string | null;
  readonly since: Date;
  readonly by: string;
}

/** What is set. A key that is known no longer is left out. */
export async function listSettings(fleet: Fleet, by: Operator, scope: ConfigScope): Promise<Setting[]> {
  const rows = await fleet.store.transaction(requestBy(by), (tx) => listConfig(tx, ownerOf(by, scope)));
  return rows.filter(({ key }) => Object.hasOwn(PREFERENCES, key)).map((row) => settingOf(fleet, row));
}

function settingOf(fleet: Fleet, row: ConfigRow): Setting {
  const { key, keyId, updatedAt: since, updatedBy: by } = row;
  if (!row.sealed) return { key, sealed: false, value: row.value, fingerprint: null, keyId: null, since, by };
  // Also what cannot be opened here is shown as set.
  const text = row.keyId !== null && fleet.seal.keyIds.includes(row.keyId) ? openSetting(fleet.seal, row) : undefined;
  const shown = preferenceOf(key).sealed?.shown;
  return {
    key,
    sealed: true,
    value: text !== undefined && shown ? shown(text) : null,
    fingerprint: text === undefined ? null : fleet.sha256(text).slice(-4),
    keyId,
    since,
    by,
  };
}

/** Throws "invalid-input" for a key or value that is none, "tier-too-low" for the tenant's by who may not. */
export async function setSetting(
  fleet: Fleet,
  by: Operator,
  { key, value, tenant }: { readonly key: string; readonly value: unknown } & ConfigScope,
): Promise<Setting> {
  const { sealed } = preferenceOf(key);
  const stored = readPreference(key, value);
  const owner = ownerOf(by, { tenant });
  return fleet.store.transaction(writerOf(by, { tenant }), async (tx) => {
    if (sealed && typeof stored === "string") {
      const bytes = fleet.seal.close(stored, boundTo({ ...owner, key }));
      await upsertSealed(tx, owner, { key, sealed: bytes, keyId: fleet.seal.keyId, by: by.id });
    } else {
      await upsertConfig(tx, owner, { key, value: stored, by: by.id });
    }
    const row = (await listConfig(tx, owner)).find((one) => one.key === key);
    if (!row) throw new Error(`The setting ${key} is gone in the transaction that set it.`);
    const setting = settingOf(fleet, row);
    const { value: shown, fingerprint, keyId } = setting;
    const detail = { key, tenant, ...(sealed ? { fingerprint, keyId } : { value: shown }) };
    await auditOperator(tx, { operatorId: by.id, actor: by.id, action: "config.set", detail });
    return setting;
  });
}

/** What is not set stays so, and says so: "not-found". */
export async function unsetSetting(
  fleet: Fleet,
  by: Operator,
  { key, tenant }: { readonly key: string } & ConfigScope,
): Promise<void> {
  preferenceOf(key);
  await fleet.store.transaction(writerOf(by, { tenant }), async (tx) => {
    if (!(await deleteConfig(tx, ownerOf(by, { tenant }), key))) {
      throw new FleetError(
        "not-found",
        `${key} is not set ${tenant ? "for the tenant" : "by you"}. See: fleet config list`,
      );
    }
    await auditOperator(tx, { operatorId: by.id, actor: by.id, action: "config.unset", detail: { key, tenant } });
  });
}

function ownerOf(by: Operator, { tenant }: ConfigScope): ConfigOwner {
  return { tenantId: by.tenantId, operatorId: tenant ? WHOLE_TENANT : by.id };
}

/** Row security lets a request write its own rows alone; the tenant's are written for who has proven the tier. */
function writerOf(by: Operator, { tenant }: ConfigScope): Behalf {
  if (!tenant) return requestBy(by);
  if (tierReaches(by.tier, "sovereign") || by.role === "admin") return WORKER;
  throw new FleetError("tier-too-low", `The tenant's settings are for tier sovereign; yours is ${by.tier}.`);
}

/**
 * Where a channel leads for this receiver, or undefined when neither they nor their tenant said. A webhook's URL goes with the
 * secret of the same level: nobody signs for a URL of their own with the tenant's secret.
 */
export async function channelTarget(fleet: Fleet, tx: Tx, receiver: ConfigOwner, channel: string): Promise<unknown> {
  for (const operatorId of [receiver.operatorId, WHOLE_TENANT]) {
    const rows = await listConfig(tx, { tenantId: receiver.tenantId, operatorId });
    const textOf = (key: string) => {
      const row = rows.find((one) => one.key === key);
      return row?.sealed ? openSetting(fleet.seal, row) : row?.value;
    };
    const to = textOf("notify.email.to");
    if (channel === "email" && to !== undefined) return { to };
    const url = textOf("notify.webhook.url");
    if (channel === "webhook" && url !== undefined) return { url, secret: textOf("notify.webhook.secret") };
  }
  return findConfig(tx, receiver, `notify.${channel}`);
}
