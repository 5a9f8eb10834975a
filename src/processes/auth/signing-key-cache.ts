/** The signing keys as they stand in the database, for a web process that runs on while they are rotated and revoked. */
import type { Config } from "../../environment.ts";
import type { KeyDoor } from "../../http/routes/keys.ts";
import type { KeySet, SigningKey } from "../../http/auth/tokens.ts";
import type { Store } from "../../store/store.ts";
import { openKeys, sealedKey, type OpenKeys } from "./keys.ts";
import { startLoop } from "../loop.ts";

export interface KeyRing extends KeyDoor {
  readonly set: KeySet;
  /** What signs now. */
  readonly signing: () => SigningKey;
  readonly stop: () => Promise<void>;
}

/** A key that was revoked elsewhere is believed here for at most this long. */
const REREAD_MS = 1_000;
/** Strangers may make up names of keys as they like; the database hears of them this often. */
const COOLDOWN_MS = 250;
/** Without the database the last set is believed this long, and then none. */
const BELIEVED_MS = 3_600_000;

export async function openKeyRing(store: Store, config: Config): Promise<KeyRing> {
  let keys: OpenKeys = await openKeys(store, config);
  let readAt = performance.now();
  let next: Promise<void> | undefined;

  async function read(): Promise<void> {
    const startedAt = performance.now();
    const found = await openKeys(store, config);
    // A slow look must not put back what a later one saw go.
    if (startedAt < readAt) return;
    [keys, readAt] = [found, startedAt];
  }

  /** One look for all who wait, begun after they came: whatever was committed before that is seen. */
  function soon(): Promise<void> {
    next ??= new Promise<void>((resolve) => {
      setTimeout(resolve, Math.max(0, readAt + COOLDOWN_MS - performance.now()));
    }).then(() => {
      next = undefined;
      return read();
    });
    return next;
  }

  async function believable(): Promise<OpenKeys> {
    if (performance.now() - readAt > BELIEVED_MS) await soon();
    return keys;
  }

  const loop = startLoop({ everyMs: REREAD_MS, step: read, onError: () => undefined });
  return {
    set: {
      async find(kid) {
        const known = await (await believable()).set.find(kid);
        if (known) return known;
        await soon();
        return keys.set.find(kid);
      },
      publicKeys: async () => (await believable()).set.publicKeys(),
    },
    signing: () => keys.signing,
    make: () => sealedKey(config),
    reread: read,
    stop: () => loop.stop(),
  };
}
