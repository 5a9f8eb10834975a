/** signing_keys: public halves in clear, private ones sealed outside the database. */
import { z } from "zod";
import { sql, type Tx } from "./sql.ts";

const SigningKeyRow = z.object({
  id: z.string(),
  publicJwk: z.record(z.string(), z.unknown()),
  sealedPrivate: z.instanceof(Buffer),
  sealedWith: z.string(),
  activeFrom: z.date(),
  retireAt: z.date().nullable(),
  revokedAt: z.date().nullable(),
});
export type SigningKeyRow = z.infer<typeof SigningKeyRow>;

const columns = sql`k.id, k.public_jwk, k.sealed_private, k.sealed_with, k.active_from, k.retire_at, k.revoked_at`;

/** Those that may still verify: not revoked, not past their time. Newest first. */
export async function listUsableKeys(tx: Tx): Promise<SigningKeyRow[]> {
  return tx.many(SigningKeyRow)`
    select ${columns} from signing_keys k
    where k.revoked_at is null and (k.retire_at is null or k.retire_at > now()) order by k.active_from desc`;
}

export async function insertKey(
  tx: Tx,
  key: { id: string; publicJwk: unknown; sealedPrivate: Buffer; sealedWith: string },
): Promise<void> {
  await tx.run`
    insert into signing_keys (id, public_jwk, sealed_private, sealed_with)
    values (${key.id}, ${JSON.stringify(key.publicJwk)}::jsonb, ${key.sealedPrivate}, ${key.sealedWith})
    on conflict on constraint signing_keys_pkey do nothing`;
}
