/** What an operator, or a tenant for all of its operators, may set with `fleet config`: the keys, in one table. */
import { z } from "zod";
import { FleetError, parseInput } from "../errors.ts";
import { type ChannelField, CHANNELS, type ChannelTable } from "../notify/channels.ts";

export interface Preference extends Omit<ChannelField, "schema"> {
  readonly schema: z.ZodType;
}

type PreferenceTable = Readonly<Record<string, Preference>>;

/** Which channels are used, and one key for each field of each channel. */
export function preferences(channels: ChannelTable): PreferenceTable {
  const names = Object.keys(channels);
  const ofFields = Object.entries(channels).flatMap(([name, { fields }]) =>
    Object.entries(fields).map(([field, preference]) => [channelKey(name, field), preference] as const),
  );
  return {
    "notify.channels": {
      description: `where notifications go: ${names.join(", ")}; several with commas`,
      schema: channelList(names),
    },
    ...Object.fromEntries(ofFields),
  };
}

export function channelKey(channel: string, field: string): string {
  return `notify.${channel}.${field}`;
}

/** Takes a list, or text with commas as it is typed. */
function channelList(names: readonly string[]) {
  return z.preprocess(
    (value) => (typeof value === "string" ? value.split(",").map((name) => name.trim()) : value),
    z
      .array(z.enum(names))
      .min(1)
      .max(names.length)
      .refine((chosen) => new Set(chosen).size === chosen.length, "names each channel once"),
  );
}

export const PREFERENCES = preferences(CHANNELS);

/** Throws "invalid-input" that lists all keys. */
export function getPreference(key: string): Preference {
  const known = Object.hasOwn(PREFERENCES, key) ? PREFERENCES[key] : undefined;
  if (known) return known;
  const keys = Object.keys(PREFERENCES);
  throw new FleetError("invalid-input", `There is no setting of that name. The settings: ${keys.join(", ")}`, { keys });
}

/** The value as it is stored, or "invalid-input" that names the key and never the value. */
export function parsePreference(key: string, value: unknown): unknown {
  return parseInput(z.object({ [key]: getPreference(key).schema }), { [key]: value })[key];
}

export const ConfigRow = z.object({
  tenantId: z.string(),
  operatorId: z.string(),
  key: z.string(),
  value: z.unknown(),
  sealed: z.instanceof(Buffer).nullable(),
  keyId: z.string().nullable(),
  updatedBy: z.string(),
  updatedAt: z.date(),
});
export type ConfigRow = z.infer<typeof ConfigRow>;

export interface StoredPreference {
  readonly key: string;
  readonly sealed: boolean;
  /** Null for a sealed one, unless a part of it may be shown. */
  readonly value: unknown;
  /** For a sealed one: the end of its SHA-256, which tells two values apart. */
  readonly fingerprint: string | null;
  /** The key that it is sealed under. */
  readonly keyId: string | null;
  readonly since: Date;
  readonly by: string;
}
