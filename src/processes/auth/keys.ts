/** The signing keys of this deployment: created at the first start, encrypted in PostgreSQL, shared by all its web processes. */
import { setTimeout as pause } from "node:timers/promises";
import type { Seal } from "../../conductor/fleet.ts";
import { openSigningKeyWith, sealSigningKeyWith } from "../../conductor/access/reseal.ts";
import type { Config } from "../../environment.ts";
import { FleetError } from "../../domain/errors.ts";
import {
  createSigningKey,
  exportSigningKey,
  importSigningKey,
  staticKeySet,
  publicJwk,
  type KeySet,
  type SigningKey,
} from "../../http/auth/tokens.ts";
import { type NewSigningKey, insertKey, listUsableKeys } from "../../store/keys.ts";
import type { Store } from "../../store/store.ts";
import { openSeal } from "./seal.ts";
import type { SigningKeyRow } from "../../domain/signing-key.ts";

export interface SigningKeys {
  readonly keySet: KeySet;
  /** The newest key without an end; it signs. */
  readonly signing: SigningKey;
}

/** The current keys; the first one is created when none signs. */
export async function loadSigningKeys(store: Store, config: Config): Promise<SigningKeys> {
  const seal = await openSeal(config);
  const rows = (await findUsableKeys(store)) ?? (await createFirstKey(store, seal));
  const keys = await Promise.all(rows.map(async (row) => importSigningKey(JSON.parse(openSigningKeyWith(seal, row)))));
  const [signing] = keys;
  if (!signing) throw new FleetError("database-unusable", "There is no signing key, and none could be created.");
  return { keySet: staticKeySet(keys), signing };
}

/** An encrypted key, ready to be stored. */
export async function createSealedKey(config: Config): Promise<NewSigningKey> {
  return sealNewKey(await openSeal(config));
}

async function sealNewKey(seal: Seal): Promise<NewSigningKey> {
  const key = await createSigningKey();
  const sealed = sealSigningKeyWith(seal, key.kid, JSON.stringify(await exportSigningKey(key)));
  return { id: key.kid, publicJwk: await publicJwk(key), ...sealed };
}

async function findUsableKeys(store: Store): Promise<SigningKeyRow[] | undefined> {
  const known = await store.asSystem((tx) => listUsableKeys(tx));
  return known.some(({ retireAt }) => retireAt === null) ? known : undefined;
}

/** Two processes that start at once agree on one key: under the lock, the second sees the first one's. */
async function createFirstKey(store: Store, seal: Seal): Promise<SigningKeyRow[]> {
  return withKeyLock(store, async () => {
    const known = await findUsableKeys(store);
    if (known) return known;
    const row = await sealNewKey(seal);
    return store.asSystem(async (tx) => {
      await insertKey(tx, row);
      return listUsableKeys(tx);
    });
  });
}

async function withKeyLock<Result>(store: Store, work: () => Promise<Result>): Promise<Result> {
  for (;;) {
    const result = await store.tryWithLock("signing-keys", work);
    if (result !== undefined) return result;
    await pause(50);
  }
}
