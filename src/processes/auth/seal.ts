/** Encrypts what must not be readable in the database: AES-256-GCM under FLEET_ENCRYPTION_KEY, with a new nonce each time. */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Seal } from "../../conductor/fleet.ts";
import type { Config } from "../../environment.ts";
import { codeOf, FleetError } from "../../domain/errors.ts";
import { countSealed } from "../../store/config.ts";
import { type Store } from "../../store/store.ts";

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * The first key of the list encrypts, all decrypt. Without the setting, the key is a 0600 file of this home, created when it is
 * missing; with the setting, an existing file still decrypts older values.
 */
export async function openSeal(config: Pick<Config, "FLEET_ENCRYPTION_KEY" | "FLEET_HOME">): Promise<Seal> {
  const file = join(config.FLEET_HOME, "encryption.key");
  const configured = (config.FLEET_ENCRYPTION_KEY ?? []).map((text) => Buffer.from(text, "base64"));
  const fromFile = configured.length > 0 ? await readKey(file).catch(ignoreMissing) : await ensureKeyFile(file);
  const keys = new Map([...configured, ...(fromFile ? [fromFile] : [])].map((key) => [fingerprintOf(key), key]));
  const [first] = keys;
  if (!first) throw new Error("There is no key to seal with.");
  const [keyId, key] = first;
  return {
    keyId,
    keyIds: [...keys.keys()],
    encrypt: (text, bound) => encrypt(key, text, bound),
    decrypt(sealed, { keyId: id, bound }) {
      const known = keys.get(id);
      if (!known) throw missingKeyError([id]);
      return decrypt(known, sealed, bound);
    },
  };
}

function missingKeyError(ids: readonly string[]): FleetError {
  const which = ids.length === 1 ? `key ${ids[0]}` : `keys ${ids.join(", ")}`;
  return new FleetError(
    "encryption-key-missing",
    `Values in the database are sealed under ${which}, which this process does not have. Nothing is lost: add it to ` +
      `FLEET_ENCRYPTION_KEY behind the one that seals (new,old), start, and run: fleet config reseal`,
    { keyIds: ids },
  );
}

function encrypt(key: Buffer, text: string, bound: string): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(bound));
  return Buffer.concat([nonce, cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]);
}

function decrypt(key: Buffer, sealed: Buffer, bound: string): string {
  const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(bound)).setAuthTag(sealed.subarray(-TAG_BYTES));
  const text = decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES));
  return Buffer.concat([text, decipher.final()]).toString("utf8");
}

/** A fingerprint: enough to distinguish keys, useless for finding one. */
function fingerprintOf(key: Buffer): string {
  return createHash("sha256").update(key).digest("hex").slice(0, 16);
}

async function ensureKeyFile(file: string): Promise<Buffer> {
  await writeFile(file, randomBytes(KEY_BYTES).toString("base64"), { mode: 0o600, flag: "wx" }).catch(
    (error: unknown) => {
      if (codeOf(error) !== "EEXIST") throw error;
    },
  );
  return readKey(file);
}

async function readKey(file: string): Promise<Buffer> {
  return Buffer.from(await readFile(file, "utf8"), "base64");
}

function ignoreMissing(error: unknown): undefined {
  if (codeOf(error) !== "ENOENT") throw error;
}

/** Checked before anything is served, because values that cannot be decrypted would otherwise fail one by one in use. */
export async function requireKeys(store: Store, seal: Seal): Promise<void> {
  const sealed = await store.asSystem((tx) => countSealed(tx));
  const missing = sealed.filter(({ keyId, settings }) => settings > 0 && !seal.keyIds.includes(keyId));
  if (missing.length > 0) throw missingKeyError(missing.map(({ keyId }) => keyId));
}
