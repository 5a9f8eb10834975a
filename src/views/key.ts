/** The keys that sign tokens, as the API returns them: never a private key. */
import { z } from "zod";
import type { SigningKeyRow } from "../domain/signing-key.ts";
import { toIsoOrNull } from "./fields.ts";

export const KeyView = z
  .object({
    kid: z.string(),
    standing: z.enum(["signs", "verifies", "retired", "revoked"]),
    since: z.iso.datetime(),
    until: z.iso
      .datetime()
      .nullable()
      .meta({ description: "When it stops verifying tokens; null: not before it is replaced" }),
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
    .meta({ description: "How long tokens of the old key are still accepted; a token is valid for 24 hours at most" }),
});

/** Thumbprints in base64url. */
export const KeyId = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, "must be the id of a key: fleet keys lists them");

/** Newest first; the first key without an end signs. */
export function viewKeys(rows: readonly SigningKeyRow[], now: Date): z.input<typeof KeysView> {
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
  { retireAt, revokedAt, signs }: SigningKeyRow & { readonly signs: boolean },
  now: Date,
): KeyView["standing"] {
  if (revokedAt) return "revoked";
  if (signs) return "signs";
  return retireAt && retireAt <= now ? "retired" : "verifies";
}
