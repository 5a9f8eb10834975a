/** The signing keys as they stand in the database, for a web process that runs on while they are rotated and revoked. */
import type { Config } from "../../environment.ts";
import type { KeyAdmin } from "../../http/routes/keys.ts";
import type { KeySet, SigningKey } from "../../http/auth/tokens.ts";
import type { Store } from "../../store/store.ts";
import { loadSigningKeys, createSealedKey, type SigningKeys } from "./keys.ts";
import { startLoop } from "../loop.ts";

export interface SigningKeyCache extends KeyAdmin {
  readonly keySet: KeySet;
  /** What signs now. */
  readonly signing: () => SigningKey;
  readonly stop: () => Promise<void>;
}

/** A key that was revoked elsewhere is believed here for at most this long. */
const REFRESH_MS = 1_000;
/** Strangers may make up names of keys as they like; the database hears of them this often. */
const COOLDOWN_MS = 250;
/** Without the database the last set is believed this long, and then none. */
const MAX_STALE_MS = 3_600_000;

export async function openSigningKeyCache(store: Store, config: Config): Promise<SigningKeyCache> {
  let keys: SigningKeys = await loadSigningKeys(store, config);
  let readAt = performance.now();
  let pending: Promise<void> | undefined;

  async function refresh(): Promise<void> {
    const startedAt = performance.now();
    const found = await loadSigningKeys(store, config);
    // A slow look must not put back what a later one saw go.
    if (startedAt < readAt) return;
    [keys, readAt] = [found, startedAt];
  }

  /** One look for all who wait, begun after they came: whatever was committed before that is seen. */
  function scheduleRefresh(): Promise<void> {
    pending ??= new Promise<void>((resolve) => {
      setTimeout(resolve, Math.max(0, readAt + COOLDOWN_MS - performance.now()));
    }).then(() => {
      pending = undefined;
      return refresh();
    });
    return pending;
  }

  async function currentKeys(): Promise<SigningKeys> {
    if (performance.now() - readAt > MAX_STALE_MS) await scheduleRefresh();
    return keys;
  }

  const loop = startLoop({ everyMs: REFRESH_MS, step: refresh, onError: () => undefined });
  return {
    keySet: {
      async find(kid) {
        const known = await (await currentKeys()).keySet.find(kid);
        if (known) return known;
        await scheduleRefresh();
        return keys.keySet.find(kid);
      },
      publicKeys: async () => (await currentKeys()).keySet.publicKeys(),
    },
    signing: () => keys.signing,
    createKey: () => createSealedKey(config),
    refresh,
    stop: () => loop.stop(),
  };
}
