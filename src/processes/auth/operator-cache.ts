/** Caches the operators' rows in a web process, and reads them again regularly. */
import { FleetError } from "../../domain/errors.ts";
import { effectiveOperator, type Operator, type OperatorRecord } from "../../domain/operator.ts";
import { findOperatorRow } from "../../store/operators.ts";
import type { Store } from "../../store/store.ts";
import { refreshing, type Refreshing } from "../refreshing.ts";

export interface OperatorCache {
  /**
   * Returns the claimed operator, with no more rights than their row has. With `now`, the row is read at once, for requests that
   * change something. Throws "unauthenticated" when there is no such operator, or it is disabled.
   */
  readonly resolveOperator: (claimed: Operator, how: { readonly now: boolean }) => Promise<Operator>;
}

/** For requests that only read, the row may be this old. */
const MAX_AGE_MS = 2_000;
const MAX_CACHED = 10_000;

export function openOperatorCache(store: Store): OperatorCache {
  const cache = new Map<string, Refreshing<OperatorRecord | undefined>>();

  function cached(id: string): Refreshing<OperatorRecord | undefined> {
    const known = cache.get(id);
    if (known) return known;
    if (cache.size >= MAX_CACHED) cache.clear();
    const record = refreshing(() => store.asSystem((tx) => findOperatorRow(tx, id)), { maxAgeMs: MAX_AGE_MS });
    cache.set(id, record);
    return record;
  }

  return {
    async resolveOperator(claimed, { now }) {
      const record = cached(claimed.id);
      const operator = effectiveOperator(claimed, await (now ? record.refresh() : record.get()));
      if (operator) return operator;
      throw new FleetError(
        "unauthenticated",
        `Operator ${claimed.id} of ${claimed.tenantId} is not known here, or is disabled. Ask an admin: fleet operators`,
      );
    },
  };
}
