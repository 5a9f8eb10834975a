/** Values that are encrypted in the database, and encrypting all of them again with the current key. */
import { FleetError } from "../../domain/errors.ts";
import type { Operator } from "../../domain/operator.ts";
import { claimConfigToReseal, countSealed, resealConfig, type SealedCount } from "../../store/config.ts";
import { claimKeysToReseal, resealKey, type NewSigningKey } from "../../store/keys.ts";
import { auditBy } from "../../store/operators.ts";
import type { Tx } from "../../store/sql.ts";
import type { Fleet, Seal } from "../fleet.ts";
import type { ConfigRow } from "../../domain/settings/preferences.ts";
import type { SigningKeyRow } from "../../domain/signing-key.ts";

/** Rows of one transaction; if the process is killed in between, the next run continues with the rest. */
const BATCH = 200;

export interface ResealResult {
  readonly keyId: string;
  readonly settings: number;
  readonly signingKeys: number;
  /** Values that are still encrypted with other keys, because this process does not have those. */
  readonly left: readonly SealedCount[];
}

/** A second run finds nothing to do. */
export async function resealAll(fleet: Fleet, by: Operator): Promise<ResealResult> {
  const { seal, store } = fleet;
  const filter = { keyId: seal.keyId, openable: seal.keyIds, limit: BATCH };
  const settings = await resealRows(store, {
    claim: (tx) => claimConfigToReseal(tx, filter),
    reseal: (tx, row) => {
      const sealed = seal.encrypt(openSetting(seal, row), settingAad(row));
      return resealConfig(tx, row, { sealed, keyId: seal.keyId });
    },
  });
  const signingKeys = await resealRows(store, {
    claim: (tx) => claimKeysToReseal(tx, filter),
    reseal: (tx, row) => resealKey(tx, row.id, sealSigningKeyWith(seal, row.id, openSigningKeyWith(seal, row))),
  });
  return store.asSystem(async (tx) => {
    const detail = { keyId: seal.keyId, settings, signingKeys };
    await auditBy(tx, by, "config.resealed", detail);
    const left = (await countSealed(tx)).filter(({ keyId }) => keyId !== seal.keyId);
    return { ...detail, left };
  });
}

interface ResealSteps<Row> {
  readonly claim: (tx: Tx) => Promise<readonly Row[]>;
  readonly reseal: (tx: Tx, row: Row) => Promise<void>;
}

async function resealRows<Row>(store: Fleet["store"], { claim, reseal }: ResealSteps<Row>): Promise<number> {
  let total = 0;
  for (;;) {
    const count = await store.asSystem(async (tx) => {
      const rows = await claim(tx);
      for (const row of rows) await reseal(tx, row);
      return rows.length;
    });
    total += count;
    if (count < BATCH) return total;
  }
}

/** Binds an encrypted value to its row: copied into another row, it does not decrypt. */
export function settingAad({ tenantId, operatorId, key }: Pick<ConfigRow, "tenantId" | "operatorId" | "key">): string {
  return JSON.stringify(["fleet_config", tenantId, operatorId, key]);
}

/** Throws "encryption-key-missing", or "not-verified" when the value was not encrypted for this row. */
export function openSetting(seal: Seal, row: ConfigRow): string {
  if (!row.sealed || row.keyId === null) throw new Error(`The setting ${row.key} is not encrypted.`);
  return openOrThrow(
    () => seal.decrypt(row.sealed ?? Buffer.alloc(0), { keyId: row.keyId ?? "", bound: settingAad(row) }),
    row.key,
  );
}

/** Signing keys that an earlier version encrypted are bound to no row, so that is tried second. */
export function openSigningKeyWith(
  seal: Seal,
  { id, sealedPrivate, sealedWith }: Pick<SigningKeyRow, "id" | "sealedPrivate" | "sealedWith">,
): string {
  const openAs = (bound: string) => seal.decrypt(sealedPrivate, { keyId: sealedWith, bound });
  return openOrThrow(() => {
    try {
      return openAs(signingKeyAad(id));
    } catch (error) {
      if (error instanceof FleetError) throw error;
      return openAs("");
    }
  }, `signing key ${id}`);
}

export function sealSigningKeyWith(
  seal: Seal,
  id: string,
  text: string,
): Pick<NewSigningKey, "sealedPrivate" | "sealedWith"> {
  return { sealedPrivate: seal.encrypt(text, signingKeyAad(id)), sealedWith: seal.keyId };
}

function signingKeyAad(id: string): string {
  return JSON.stringify(["signing_keys", id]);
}

function openOrThrow(open: () => string, what: string): string {
  try {
    return open();
  } catch (error) {
    if (error instanceof FleetError) throw error;
    throw new FleetError(
      "not-verified",
      `The encrypted value of ${what} was changed, or belongs to another row.`,
      {},
      error,
    );
  }
}
