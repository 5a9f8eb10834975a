/** The most that operators may claim, read again and again while a web process runs on. */
import { codeOf, FleetError } from "../../domain/errors.ts";
import { effectiveOperator, type Operator, type OperatorRecord } from "../../domain/operator.ts";
import { findOperatorRow } from "../../store/operators.ts";
import { type Store } from "../../store/store.ts";

export interface OperatorCache {
  /**
   * Who asks, with no more than the house has written down of them. `now`: read this moment, for what changes something.
   * Throws "unauthenticated" when the house knows no such operator, or lets it in no longer.
   */
  readonly resolveOperator: (claimed: Operator, how: { readonly now: boolean }) => Promise<Operator>;
}

/** For what only looks, it may be this old. */
const CACHE_MS = 2_000;
/** Without the database it is believed this long, and then not. */
const MAX_STALE_MS = 3_600_000;
const MAX_CACHED = 10_000;

interface CacheEntry {
  readonly standing: OperatorRecord | undefined;
  readonly at: number;
}

export function openOperatorCache(store: Store): OperatorCache {
  const cache = new Map<string, CacheEntry>();
  const inFlight = new Map<string, Promise<CacheEntry>>();

  async function read(id: string): Promise<CacheEntry> {
    const at = performance.now();
    const standing = await store.asSystem((tx) => findOperatorRow(tx, id));
    if (cache.size >= MAX_CACHED) cache.clear();
    const found = { standing, at };
    // A slow look must not put back what a later one saw change.
    if ((cache.get(id)?.at ?? -Infinity) < at) cache.set(id, found);
    return found;
  }

  /** One look for all who ask meanwhile. */
  function readShared(id: string): Promise<CacheEntry> {
    const pending = inFlight.get(id);
    if (pending) return pending;
    const request = read(id).finally(() => inFlight.delete(id));
    inFlight.set(id, request);
    return request;
  }

  async function readCached(id: string): Promise<CacheEntry> {
    const last = cache.get(id);
    const age = performance.now() - (last?.at ?? -Infinity);
    if (last && age < CACHE_MS) return last;
    try {
      return await readShared(id);
    } catch (error) {
      if (last && age < MAX_STALE_MS && codeOf(error) === "database-unavailable") return last;
      throw error;
    }
  }

  return {
    async resolveOperator(claimed, { now }) {
      const { standing } = await (now ? read(claimed.id) : readCached(claimed.id));
      const held = effectiveOperator(claimed, standing);
      if (held) return held;
      throw new FleetError(
        "unauthenticated",
        `Operator ${claimed.id} of ${claimed.tenantId} is not known here, or is disabled. Ask an admin: fleet operators`,
      );
    },
  };
}
