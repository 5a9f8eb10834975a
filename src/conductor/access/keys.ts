/** The keys that sign tokens: listing them, rotating to a new one, and revoking one. */
import { FleetError } from "../../domain/errors.ts";
import type { Operator } from "../../domain/operator.ts";
import {
  insertKey,
  listAllKeys,
  listUsableKeys,
  lockKeys,
  markKeyRevoked,
  retireOtherKeys,
  type NewSigningKey,
} from "../../store/keys.ts";
import { auditBy } from "../../store/operators.ts";
import type { Fleet } from "../fleet.ts";
import type { SigningKeyRow } from "../../domain/signing-key.ts";

export async function listKeys(fleet: Fleet): Promise<SigningKeyRow[]> {
  return fleet.store.asSystem((tx) => listAllKeys(tx));
}

/** The new key signs from now on; the other keys still verify signatures for `overlapMs`. */
export async function rotateKeys(fleet: Fleet, by: Operator, key: NewSigningKey, overlapMs: number): Promise<void> {
  await fleet.store.asSystem(async (tx) => {
    await lockKeys(tx);
    const [before] = await listUsableKeys(tx);
    await insertKey(tx, key);
    await retireOtherKeys(tx, key.id, overlapMs);
    await auditBy(tx, by, "key.rotated", { kid: key.id, previous: before?.id ?? null, overlapMs });
  });
}

/**
 * Nothing that the key signed is accepted from now on. If it is the signing key, `replacement` takes its place in the same
 * transaction, so that there is always one. Revoking it again changes nothing. Throws "not-found".
 */
export async function revokeKey(fleet: Fleet, by: Operator, id: string, replacement: NewSigningKey): Promise<void> {
  await fleet.store.asSystem(async (tx) => {
    await lockKeys(tx);
    if (!(await listAllKeys(tx)).some((key) => key.id === id)) {
      throw new FleetError("not-found", `There is no key ${id}. See them: fleet keys`, { kid: id });
    }
    if (!(await markKeyRevoked(tx, id))) return;
    const signingKey = (await listUsableKeys(tx)).find(({ retireAt }) => retireAt === null);
    if (!signingKey) await insertKey(tx, replacement);
    await auditBy(tx, by, "key.revoked", { kid: id, signs: signingKey?.id ?? replacement.id });
  });
}
