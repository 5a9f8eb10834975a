/** Caches the database's signing keys for a web process, while they are rotated and revoked. */
import { setTimeout as pause } from "node:timers/promises";
import type { Config } from "../../environment.ts";
import type { KeyAdmin } from "../../http/routes/keys.ts";
import type { KeySet, SigningKey } from "../../http/auth/tokens.ts";
import type { Store } from "../../store/store.ts";
import { startLoop } from "../loop.ts";
import { refreshing } from "../refreshing.ts";
import { loadSigningKeys, createSealedKey, type SigningKeys } from "./keys.ts";

export interface SigningKeyCache extends KeyAdmin {
  readonly keySet: KeySet;
  /** The key that signs now. */
  readonly signing: () => Promise<SigningKey>;
  readonly stop: () => Promise<void>;
}

/** A key that was revoked elsewhere is trusted here for at most this long. */
const REFRESH_MS = 1_000;
/** Clients may send any key name, so the database is read for unknown ones at most this often. */
const COOLDOWN_MS = 250;

export async function openSigningKeyCache(store: Store, config: Config): Promise<SigningKeyCache> {
  const keys = refreshing(() => loadSigningKeys(store, config));
  await keys.refresh();
  let pending: Promise<SigningKeys> | undefined;

  /** All waiting callers share one read that began after they came, so it sees whatever was committed before. */
  function refreshAfterCooldown(): Promise<SigningKeys> {
    pending ??= pause(Math.max(0, COOLDOWN_MS - keys.ageMs())).then(() => {
      pending = undefined;
      return keys.refresh();
    });
    return pending;
  }

  // A failing read needs no report: after an hour without one, requests fail with its error.
  const loop = startLoop({ everyMs: REFRESH_MS, step: keys.refresh, onError: () => undefined });
  return {
    keySet: {
      async find(kid) {
        const known = await (await keys.get()).keySet.find(kid);
        return known ?? (await refreshAfterCooldown()).keySet.find(kid);
      },
      publicKeys: async () => (await keys.get()).keySet.publicKeys(),
    },
    signing: async () => (await keys.get()).signing,
    createKey: () => createSealedKey(config),
    refresh: async () => void (await keys.refresh()),
    stop: () => loop.stop(),
  };
}
