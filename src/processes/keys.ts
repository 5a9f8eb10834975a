/** The signing keys of this deployment: made at the first start, sealed in PostgreSQL, shared by all its web processes. */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Config } from "../config.ts";
import { FleetError } from "../domain/errors.ts";
import {
  createSigningKey,
  exportSigningKey,
  importSigningKey,
  keySetOf,
  publicJwk,
  type KeySet,
  type SigningKey,
} from "../http/tokens.ts";
import { insertKey, listUsableKeys, type NewSigningKey, type SigningKeyRow } from "../store/keys.ts";
import { WORKER, type Store } from "../store/store.ts";

export interface OpenKeys {
  readonly set: KeySet;
  /** The newest that has no end: what signs. */
  readonly signing: SigningKey;
}

const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;

/** The keys as they stand; the first one is made when none signs. */
export async function openKeys(store: Store, config: Config): Promise<OpenKeys> {
  const seal = await openSeal(config);
  const rows = (await findKeys(store)) ?? (await makeFirst(store, seal));
  const keys = await Promise.all(
    rows.map(async (row) => {
      if (row.sealedWith !== seal.id) {
        throw new FleetError(
          "database-unusable",
          `The signing keys are sealed with another key (${row.sealedWith}) than this process has (${seal.id}). Set FLEET_ENCRYPTION_KEY to the one they were made with.`,
        );
      }
      return importSigningKey(JSON.parse(seal.open(row.sealedPrivate)));
    }),
  );
  const [signing] = keys;
  if (!signing) throw new FleetError("database-unusable", "There is no signing key, and none could be made.");
  return { set: keySetOf(keys), signing };
}

/** For the database: sealed, not stored yet. */
export async function sealedKey(config: Config): Promise<NewSigningKey> {
  return newKey(await openSeal(config));
}

async function newKey(seal: Seal): Promise<NewSigningKey> {
  const key = await createSigningKey();
  const sealedPrivate = seal.close(JSON.stringify(await exportSigningKey(key)));
  return { id: key.kid, publicJwk: await publicJwk(key), sealedPrivate, sealedWith: seal.id };
}

async function findKeys(store: Store): Promise<SigningKeyRow[] | undefined> {
  const known = await store.transaction(WORKER, (tx) => listUsableKeys(tx));
  return known.some(({ retireAt }) => retireAt === null) ? known : undefined;
}

/** Two processes that start at once agree on one key: the second sees the first one's under the lock. */
async function makeFirst(store: Store, seal: Seal): Promise<SigningKeyRow[]> {
  return untilHeld(store, async () => {
    const known = await findKeys(store);
    if (known) return known;
    const row = await newKey(seal);
    return store.transaction(WORKER, async (tx) => {
      await insertKey(tx, row);
      return listUsableKeys(tx);
    });
  });
}

async function untilHeld<Result>(store: Store, work: () => Promise<Result>): Promise<Result> {
  for (;;) {
    const result = await store.exclusively("signing-keys", work);
    if (result !== undefined) return result;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

interface Seal {
  readonly id: string;
  close(text: string): Buffer;
  open(sealed: Buffer): string;
}

/** AES-256-GCM. The key comes from the environment, or from a 0600 file of this home that is made when it is missing. */
async function openSeal(config: Config): Promise<Seal> {
  const key = config.FLEET_ENCRYPTION_KEY
    ? Buffer.from(config.FLEET_ENCRYPTION_KEY, "base64")
    : await keyFile(join(config.FLEET_HOME, "encryption.key"));
  return {
    id: createHash("sha256").update(key).digest("hex").slice(0, 16),
    close(text) {
      const iv = randomBytes(IV_BYTES);
      const cipher = createCipheriv("aes-256-gcm", key, iv);
      return Buffer.concat([iv, cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]);
    },
    open(sealed) {
      const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, IV_BYTES));
      decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
      return decipher.update(sealed.subarray(IV_BYTES, -TAG_BYTES), undefined, "utf8") + decipher.final("utf8");
    },
  };
}

async function keyFile(file: string): Promise<Buffer> {
  await writeFile(file, randomBytes(KEY_BYTES).toString("base64"), { mode: 0o600, flag: "wx" }).catch(
    (error: unknown) => {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    },
  );
  return Buffer.from(await readFile(file, "utf8"), "base64");
}
