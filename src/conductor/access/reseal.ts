/** What is sealed in the database, and bringing it under the key that seals now. */
import { FleetError } from "../../domain/errors.ts";
import type { Operator } from "../../domain/operator.ts";
import { claimConfigToReseal, countSealed, resealConfig, type SealedCount } from "../../store/config.ts";
import { claimKeysToReseal, resealKey, type NewSigningKey } from "../../store/keys.ts";
import { auditBy } from "../../store/operators.ts";
import type { Fleet, Seal } from "../fleet.ts";
import type { ConfigRow } from "../../domain/settings/preferences.ts";
import type { SigningKeyRow } from "../../domain/signing-key.ts";

/** One transaction's worth: killed in between, the next run goes on with the rest. */
const BATCH = 200;

export interface ResealResult {
  readonly keyId: string;
  readonly settings: number;
  readonly signingKeys: number;
  /** What is still sealed under other keys, because this process does not have them. */
  readonly left: readonly SealedCount[];
}

/** Asked twice, the second run has nothing to do. */
export async function resealAll(fleet: Fleet, by: Operator): Promise<ResealResult> {
  const { seal, store } = fleet;
  const filter = { keyId: seal.keyId, openable: seal.keyIds, limit: BATCH };
  const settings = await repeatUntilDone(() =>
    store.asSystem(async (tx) => {
      const rows = await claimConfigToReseal(tx, filter);
      for (const row of rows) {
        const sealed = seal.encrypt(openSetting(seal, row), settingAad(row));
        await resealConfig(tx, row, { sealed, keyId: seal.keyId });
      }
      return rows.length;
    }),
  );
  const signingKeys = await repeatUntilDone(() =>
    store.asSystem(async (tx) => {
      const rows = await claimKeysToReseal(tx, filter);
      for (const row of rows)
        await resealKey(tx, row.id, sealSigningKeyWith(seal, row.id, openSigningKeyWith(seal, row)));
      return rows.length;
    }),
  );
  return store.asSystem(async (tx) => {
    const detail = { keyId: seal.keyId, settings, signingKeys };
    await auditBy(tx, by, "config.resealed", detail);
    const left = (await countSealed(tx)).filter(({ keyId }) => keyId !== seal.keyId);
    return { ...detail, left };
  });
}

async function repeatUntilDone(batch: () => Promise<number>): Promise<number> {
  let all = 0;
  for (;;) {
    const done = await batch();
    all += done;
    if (done < BATCH) return all;
  }
}

/** A sealed value opens only in the row it was made for. */
export function settingAad({ tenantId, operatorId, key }: Pick<ConfigRow, "tenantId" | "operatorId" | "key">): string {
  return JSON.stringify(["fleet_config", tenantId, operatorId, key]);
}

/** Throws "encryption-key-missing", or "not-verified" when it is not the value that was sealed for this row. */
export function openSetting(seal: Seal, row: ConfigRow): string {
  if (!row.sealed || row.keyId === null) throw new Error(`The setting ${row.key} is not sealed.`);
  return openOrThrow(
    () => seal.decrypt(row.sealed ?? Buffer.alloc(0), { keyId: row.keyId ?? "", bound: settingAad(row) }),
    row.key,
  );
}

/** Those of an earlier version were bound to nothing. */
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
      `What is sealed as ${what} was changed, or belongs to another row.`,
      {},
      error,
    );
  }
}
