/** Settings as they leave the house. A secret never does: only that it is set, since when, by whom, and a fingerprint's end. */
import { z } from "zod";
import type { StoredPreference } from "../domain/settings/preferences.ts";

export const SettingView = z
  .object({
    key: z.string(),
    sealed: z.boolean().meta({ description: "Encrypted in the database, and never told again" }),
    value: z.json().meta({ description: "Of a sealed one, what may be shown; null of a secret" }),
    fingerprint: z
      .string()
      .nullable()
      .meta({ description: "Of a sealed one: the end of its SHA-256, to tell two apart" }),
    keyId: z.string().nullable().meta({ description: "What it is sealed under" }),
    since: z.iso.datetime(),
    by: z.string(),
  })
  .meta({ id: "Setting" });
export type SettingView = z.infer<typeof SettingView>;

export const ConfigView = z.object({ tenant: z.boolean(), settings: z.array(SettingView) }).meta({ id: "Config" });
export type ConfigView = z.infer<typeof ConfigView>;

const Tenant = z.boolean().default(false).meta({ description: "For every operator of the tenant (tier sovereign)" });

export const SettingKey = z.string().min(1).max(128);
export const ConfigQuery = z.strictObject({
  tenant: z.stringbool().default(false).meta({ description: "The tenant's instead of one's own" }),
});
export const SettingChange = z.strictObject({ value: z.json(), tenant: Tenant });

export const ResealedView = z
  .object({
    keyId: z.string().meta({ description: "What everything is sealed under now" }),
    settings: z.int().meta({ description: "How many were sealed anew" }),
    signingKeys: z.int(),
    left: z
      .array(z.object({ keyId: z.string(), settings: z.int(), signingKeys: z.int() }))
      .meta({ description: "Still sealed under keys that this process does not have" }),
  })
  .meta({ id: "Resealed" });
export type ResealedView = z.infer<typeof ResealedView>;

export function viewSetting(row: StoredPreference): SettingView {
  return SettingView.parse({ ...row, since: row.since.toISOString() });
}
