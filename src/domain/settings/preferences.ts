/** What an operator, or a tenant for all of its operators, may set by `fleet config`: the keys, in one table. */
import { z } from "zod";
import { FleetError, parseInput } from "../errors.ts";
import { WebhookUrl } from "../text/webhook-url.ts";

export interface Preference {
  readonly description: string;
  readonly schema: z.ZodType;
  /** Encrypted in the database, and never told again. */
  readonly sealed?: {
    /** Not to be typed where every process of the machine can read it. */
    readonly secret: boolean;
    /** What may be shown of it; nothing when left out. */
    readonly shown?: (text: string) => string;
  };
}

const ChannelName = z.enum(["terminal", "webhook", "email"]);

/** As typed, with commas; or a list. */
const Channels = z.preprocess(
  (value) => (typeof value === "string" ? value.split(",").map((name) => name.trim()) : value),
  z
    .array(ChannelName)
    .min(1)
    .max(3)
    .refine((names) => new Set(names).size === names.length, "names each channel once"),
);

export const PREFERENCES: Readonly<Record<string, Preference>> = {
  "notify.channels": {
    description: "where notifications go: terminal, webhook, email; several with commas",
    schema: Channels,
  },
  "notify.email.to": {
    description: "who gets them by e-mail",
    schema: z.email().max(254),
  },
  "notify.webhook.url": {
    description:
      "where the webhook channel sends (https); kept encrypted, since many such URLs are secrets; only its host is shown",
    schema: WebhookUrl,
    sealed: { secret: false, shown: (text) => `${new URL(text).origin}/…` },
  },
  "notify.webhook.secret": {
    description: "signs every message to the webhook; shared with its receiver, 16 to 512 characters",
    schema: z
      .string()
      .min(16)
      .max(512)
      .regex(/^[ -~]+$/, "must be printable ASCII"),
    sealed: { secret: true },
  },
};

/** Throws "invalid-input" naming the key that was probably meant. */
export function getPreference(key: string): Preference {
  const known = Object.hasOwn(PREFERENCES, key) ? PREFERENCES[key] : undefined;
  if (known) return known;
  const nearest = nearestKey(key);
  const keys = Object.keys(PREFERENCES);
  throw new FleetError("invalid-input", `There is no setting of that name. Did you mean ${nearest}?`, {
    nearest,
    keys,
  });
}

/** The value as it is stored, or "invalid-input" that names the key and never the value. */
export function parsePreference(key: string, value: unknown): unknown {
  return parseInput(z.object({ [key]: getPreference(key).schema }), { [key]: value })[key];
}

/** The longest key has 21 characters: what is much longer is not looked at to its end. */
const MAX_COMPARED_CHARS = 64;

function nearestKey(key: string): string {
  const typed = key.slice(0, MAX_COMPARED_CHARS).toLowerCase();
  const ranked = Object.keys(PREFERENCES).map((known) => ({ known, edits: editsBetween(typed, known) }));
  ranked.sort((a, b) => a.edits - b.edits || (a.known < b.known ? -1 : 1));
  return ranked[0]?.known ?? "";
}

/** Letters to add, drop or change. */
function editsBetween(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= to.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
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
  /** Of a sealed one, what may be shown: nothing of a secret. */
  readonly value: unknown;
  /** The last letters of a fingerprint of a sealed one, to tell two values apart. */
  readonly fingerprint: string | null;
  /** Which key it is sealed under. */
  readonly keyId: string | null;
  readonly since: Date;
  readonly by: string;
}
