/** A database value that a process caches and reads again, so that a change elsewhere takes effect in time. */
import { codeOf } from "../domain/errors.ts";

/** Without the database the last value is valid this long, and then not at all, because a revoked token would stay trusted. */
const MAX_STALE_MS = 3_600_000;

export interface Refreshing<Value> {
  /** The last value, read again first when it is older than `maxAgeMs`; concurrent callers share one read. */
  readonly get: () => Promise<Value>;
  /** Reads now, regardless of the cache. */
  readonly refresh: () => Promise<Value>;
  readonly ageMs: () => number;
}

export function refreshing<Value>(
  read: () => Promise<Value>,
  { maxAgeMs = MAX_STALE_MS }: { readonly maxAgeMs?: number } = {},
): Refreshing<Value> {
  let last: { readonly value: Value; readonly at: number } | undefined;
  let inFlight: Promise<Value> | undefined;

  const ageMs = () => performance.now() - (last?.at ?? -Infinity);

  async function refresh(): Promise<Value> {
    const at = performance.now();
    const value = await read();
    // A slow read must not replace the value of a read that began later.
    if (!last || last.at < at) last = { value, at };
    return value;
  }

  return {
    ageMs,
    refresh,
    async get() {
      if (last && ageMs() < maxAgeMs) return last.value;
      inFlight ??= refresh().finally(() => (inFlight = undefined));
      try {
        return await inFlight;
      } catch (error) {
        if (last && ageMs() < MAX_STALE_MS && codeOf(error) === "database-unavailable") return last.value;
        throw error;
      }
    },
  };
}
