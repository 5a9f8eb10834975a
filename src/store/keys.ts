/** signing_keys: public halves in clear, private ones sealed outside the database. */
import { sql, type Tx } from "./sql.ts";
import { SigningKeyRow } from "../domain/signing-key.ts";

export interface NewSigningKey {
  readonly id: string;
  readonly publicJwk: unknown;
  readonly sealedPrivate: Buffer;
  readonly sealedWith: string;
}

const columns = sql`k.id, k.public_jwk, k.sealed_private, k.sealed_with, k.active_from, k.retire_at, k.revoked_at`;

/** Lists the keys that may still verify: neither revoked nor retired. The one that signs comes first, then the newest. */
export async function listUsableKeys(tx: Tx): Promise<SigningKeyRow[]> {
  return tx.many(SigningKeyRow)`
    select ${columns} from signing_keys k
    where k.revoked_at is null and (k.retire_at is null or k.retire_at > now())
    order by k.retire_at is not null, k.active_from desc`;
}

/** Lists all, also revoked and retired ones, newest first. */
export async function listAllKeys(tx: Tx): Promise<SigningKeyRow[]> {
  return tx.many(SigningKeyRow)`select ${columns} from signing_keys k order by k.active_from desc`;
}

/** Keeps other transactions from changing which key signs until commit, so that two rotations run one after the other. */
export async function lockKeys(tx: Tx): Promise<void> {
  await tx.run`select pg_advisory_xact_lock(hashtextextended('signing-keys/change', 0))`;
}

export async function insertKey(tx: Tx, key: NewSigningKey): Promise<void> {
  await tx.run`
    insert into signing_keys (id, public_jwk, sealed_private, sealed_with, active_from)
    values (${key.id}, ${JSON.stringify(key.publicJwk)}::jsonb, ${key.sealedPrivate}, ${key.sealedWith},
      clock_timestamp())
    on conflict on constraint signing_keys_pkey do nothing`;
}

/** Lets all other keys stop signing now and verifying after `overlapMs`. A key that is already retiring retires as planned. */
export async function retireOtherKeys(tx: Tx, id: string, overlapMs: number): Promise<void> {
  await tx.run`
    update signing_keys set retire_at = now() + ${overlapMs}::double precision * interval '1 millisecond'
    where id <> ${id} and revoked_at is null and retire_at is null`;
}

/** Returns false when there is no such key, or it was revoked before. */
export async function markKeyRevoked(tx: Tx, id: string): Promise<boolean> {
  return (await tx.run`update signing_keys set revoked_at = now() where id = ${id} and revoked_at is null`) === 1;
}

/** Locks usable keys that are sealed with one of `openable` other than `keyId`, until the transaction ends. */
export async function claimKeysToReseal(
  tx: Tx,
  { keyId, openable, limit }: { readonly keyId: string; readonly openable: readonly string[]; readonly limit: number },
): Promise<SigningKeyRow[]> {
  return tx.many(SigningKeyRow)`
    select ${columns} from signing_keys k
    where k.revoked_at is null and (k.retire_at is null or k.retire_at > now())
      and k.sealed_with <> ${keyId} and k.sealed_with = any(${openable})
    order by k.id limit ${limit} for update skip locked`;
}

export async function resealKey(
  tx: Tx,
  id: string,
  { sealedPrivate, sealedWith }: Pick<NewSigningKey, "sealedPrivate" | "sealedWith">,
): Promise<void> {
  await tx.run`update signing_keys set sealed_private = ${sealedPrivate}, sealed_with = ${sealedWith} where id = ${id}`;
}
