/** The keys that sign tokens, as they are shown: never a private half. */
import { z } from "zod";
import { toIsoOrNull } from "./fields.ts";

export const KeyView = z
  .object({
    kid: z.string(),
    standing: z.enum(["signs", "verifies", "retired", "revoked"]),
    since: z.iso.datetime(),
    until: z.iso.datetime().nullable().meta({ description: "Verifies no longer than this; null: as long as it signs" }),
    revokedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: "SigningKey" });
export type KeyView = z.infer<typeof KeyView>;

export const KeysView = z.object({ keys: z.array(KeyView) });
export type KeysView = z.infer<typeof KeysView>;

export const KeyRotation = z.strictObject({
  overlapHours: z
    .int()
    .min(0)
    .max(168)
    .default(24)
    .meta({ description: "How long what the old key signed is still believed; tokens live 24 hours at most" }),
});

/** Thumbprints in base64url. */
export const KeyId = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, "is the name of a key: fleet keys shows them");

interface KeyRow {
  readonly id: string;
  readonly activeFrom: Date;
  readonly retireAt: Date | null;
  readonly revokedAt: Date | null;
}

/** Newest first: of those that have no end, the first signs. */
export function viewKeys(rows: readonly KeyRow[], now: Date): z.input<typeof KeysView> {
  const signing = rows.find(({ retireAt, revokedAt }) => revokedAt === null && retireAt === null);
  return {
    keys: rows.map((row) => ({
      kid: row.id,
      standing: keyStatus({ ...row, signs: row === signing }, now),
      since: row.activeFrom.toISOString(),
      until: toIsoOrNull(row.retireAt),
      revokedAt: toIsoOrNull(row.revokedAt),
    })),
  };
}

function keyStatus(
  { retireAt, revokedAt, signs }: KeyRow & { readonly signs: boolean },
  now: Date,
): KeyView["standing"] {
  if (revokedAt) return "revoked";
  if (signs) return "signs";
  return retireAt && retireAt <= now ? "retired" : "verifies";
}
