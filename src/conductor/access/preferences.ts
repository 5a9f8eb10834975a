/** Preferences of an operator, or of a tenant for all of its operators: listed, set, unset; secrets are sealed. */
import { FleetError } from "../../domain/errors.ts";
import { type ChannelName, type ChannelRow, CHANNELS } from "../../domain/notify/channels.ts";
import { isTierAtLeast, type Operator } from "../../domain/operator.ts";
import {
  channelKey,
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

/** The preferences that are set; keys of older versions are left out. */
export async function listPreferences(fleet: Fleet, by: Operator, scope: PreferenceScope): Promise<StoredPreference[]> {
  const rows = await fleet.store.as(by, (tx) => listConfig(tx, configOwner(by, scope)));
  return rows.filter(({ key }) => Object.hasOwn(PREFERENCES, key)).map((row) => toStoredPreference(fleet, row));
}

function toStoredPreference(fleet: Fleet, row: ConfigRow): StoredPreference {
  const { key, keyId, updatedAt: since, updatedBy: by } = row;
  if (!row.sealed) return { key, sealed: false, value: row.value, fingerprint: null, keyId: null, since, by };
  // A value whose key this process does not have is still shown as set.
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

/** Throws "invalid-input" for an unknown key or a wrong value, "tier-too-low" for the tenant's below tier sovereign. */
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
    if (!row) throw new Error(`The setting ${key} cannot be read in the transaction that set it.`);
    const preference = toStoredPreference(fleet, row);
    const { value: visibleValue, fingerprint, keyId } = preference;
    const detail = { key, tenant, ...(sealed ? { fingerprint, keyId } : { value: visibleValue }) };
    await auditBy(tx, by, "config.set", detail);
    return preference;
  });
}

/** Throws "not-found" for a preference that is not set. */
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

/** Row security lets an operator write only their own rows; the tenant's are written as the system once the tier is checked. */
function writePrincipal(by: Operator, { tenant }: PreferenceScope): Principal {
  if (!tenant) return asOperator(by);
  if (isTierAtLeast(by.tier, "sovereign") || by.role === "admin") return SYSTEM;
  throw new FleetError("tier-too-low", `The tenant's settings are for tier sovereign; yours is ${by.tier}.`);
}

/** Where a channel sends for this receiver: their own target, else their tenant's, else that of fleet.yaml. */
export async function channelTarget(
  fleet: Fleet,
  tx: Tx,
  receiver: ConfigOwner,
  channel: ChannelName,
): Promise<unknown> {
  const { address, fields }: ChannelRow = CHANNELS[channel];
  if (address === null) return undefined;
  for (const operatorId of [receiver.operatorId, WHOLE_TENANT]) {
    const rows = await listConfig(tx, { tenantId: receiver.tenantId, operatorId });
    const read = (field: string): unknown => {
      const row = rows.find(({ key }) => key === channelKey(channel, field));
      return row?.sealed ? openSetting(fleet.seal, row) : row?.value;
    };
    // All fields are of the level that sets the address: nobody's own URL is signed with the tenant's secret.
    if (read(address) !== undefined)
      return Object.fromEntries(Object.keys(fields).map((field) => [field, read(field)]));
  }
  return (await findConfig(tx, receiver, `notify.${channel}`)) ?? fleet.settings.notify.targets[channel];
}
