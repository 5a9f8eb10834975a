/** Settings that an operator, or a tenant for all of its operators, keeps in the database: read, set, and what becomes of secrets. */
import { FleetError } from "../../domain/errors.ts";
import { isTierAtLeast, type Operator } from "../../domain/operator.ts";
import {
  getPreference,
  PREFERENCES,
  parsePreference,
  type ConfigRow,
  type StoredPreference,
} from "../../domain/settings/preferences.ts";
import { WHOLE_TENANT } from "../../domain/tenant.ts";
import {
  deleteConfig,
  findConfig,
  listConfig,
  upsertConfig,
  upsertSealedConfig,
  type ConfigOwner,
} from "../../store/config.ts";
import { auditBy } from "../../store/operators.ts";
import type { Tx } from "../../store/sql.ts";
import type { Fleet } from "../fleet.ts";
import { settingAad, openSetting } from "./reseal.ts";
import { type Principal, SYSTEM, asOperator } from "../../store/principal.ts";

/** For oneself, or for the whole tenant. */
export interface PreferenceScope {
  readonly tenant: boolean;
}

/** What is set. A key that is known no longer is left out. */
export async function listPreferences(fleet: Fleet, by: Operator, scope: PreferenceScope): Promise<StoredPreference[]> {
  const rows = await fleet.store.as(by, (tx) => listConfig(tx, configOwner(by, scope)));
  return rows.filter(({ key }) => Object.hasOwn(PREFERENCES, key)).map((row) => toStoredPreference(fleet, row));
}

function toStoredPreference(fleet: Fleet, row: ConfigRow): StoredPreference {
  const { key, keyId, updatedAt: since, updatedBy: by } = row;
  if (!row.sealed) return { key, sealed: false, value: row.value, fingerprint: null, keyId: null, since, by };
  // Also what cannot be opened here is shown as set.
  const text = row.keyId !== null && fleet.seal.keyIds.includes(row.keyId) ? openSetting(fleet.seal, row) : undefined;
  const render = getPreference(key).sealed?.shown;
  return {
    key,
    sealed: true,
    value: text !== undefined && render ? render(text) : null,
    fingerprint: text === undefined ? null : fleet.sha256(text).slice(-4),
    keyId,
    since,
    by,
  };
}

/** Throws "invalid-input" for a key or value that is none, "tier-too-low" for the tenant's by who may not. */
export async function setPreference(
  fleet: Fleet,
  by: Operator,
  { key, value, tenant }: { readonly key: string; readonly value: unknown } & PreferenceScope,
): Promise<StoredPreference> {
  const { sealed } = getPreference(key);
  const stored = parsePreference(key, value);
  const owner = configOwner(by, { tenant });
  return fleet.store.transaction(writePrincipal(by, { tenant }), async (tx) => {
    if (sealed && typeof stored === "string") {
      const bytes = fleet.seal.encrypt(stored, settingAad({ ...owner, key }));
      await upsertSealedConfig(tx, owner, { key, sealed: bytes, keyId: fleet.seal.keyId, by: by.id });
    } else {
      await upsertConfig(tx, owner, { key, value: stored, by: by.id });
    }
    const row = (await listConfig(tx, owner)).find((one) => one.key === key);
    if (!row) throw new Error(`The setting ${key} is gone in the transaction that set it.`);
    const preference = toStoredPreference(fleet, row);
    const { value: visibleValue, fingerprint, keyId } = preference;
    const detail = { key, tenant, ...(sealed ? { fingerprint, keyId } : { value: visibleValue }) };
    await auditBy(tx, by, "config.set", detail);
    return preference;
  });
}

/** What is not set stays so, and says so: "not-found". */
export async function unsetPreference(
  fleet: Fleet,
  by: Operator,
  { key, tenant }: { readonly key: string } & PreferenceScope,
): Promise<void> {
  getPreference(key);
  await fleet.store.transaction(writePrincipal(by, { tenant }), async (tx) => {
    if (!(await deleteConfig(tx, configOwner(by, { tenant }), key))) {
      throw new FleetError(
        "not-found",
        `${key} is not set ${tenant ? "for the tenant" : "by you"}. See: fleet config list`,
      );
    }
    await auditBy(tx, by, "config.unset", { key, tenant });
  });
}

function configOwner(by: Operator, { tenant }: PreferenceScope): ConfigOwner {
  return { tenantId: by.tenantId, operatorId: tenant ? WHOLE_TENANT : by.id };
}

/** Row security lets a request write its own rows alone; the tenant's are written for who has proven the tier. */
function writePrincipal(by: Operator, { tenant }: PreferenceScope): Principal {
  if (!tenant) return asOperator(by);
  if (isTierAtLeast(by.tier, "sovereign") || by.role === "admin") return SYSTEM;
  throw new FleetError("tier-too-low", `The tenant's settings are for tier sovereign; yours is ${by.tier}.`);
}

/**
 * Where a channel leads for this receiver, or undefined when neither they nor their tenant said. A webhook's URL goes with the
 * secret of the same level: nobody signs for a URL of their own with the tenant's secret.
 */
export async function channelTarget(fleet: Fleet, tx: Tx, receiver: ConfigOwner, channel: string): Promise<unknown> {
  for (const operatorId of [receiver.operatorId, WHOLE_TENANT]) {
    const rows = await listConfig(tx, { tenantId: receiver.tenantId, operatorId });
    const readText = (key: string) => {
      const row = rows.find((one) => one.key === key);
      return row?.sealed ? openSetting(fleet.seal, row) : row?.value;
    };
    const to = readText("notify.email.to");
    if (channel === "email" && to !== undefined) return { to };
    const url = readText("notify.webhook.url");
    if (channel === "webhook" && url !== undefined) return { url, secret: readText("notify.webhook.secret") };
  }
  return findConfig(tx, receiver, `notify.${channel}`);
}
