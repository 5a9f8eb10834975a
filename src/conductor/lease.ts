/** A lease kept while something longer runs: renewed at a third of its time, and the work aborted when it is lost. */
import { FleetError } from "../domain/errors.ts";

export interface Lease {
  /** Aborted when the caller's signal is, or when somebody else has taken over. */
  readonly signal: AbortSignal;
  /** Throws when the lease was lost: the result then belongs to nobody. */
  assertHeld(): void;
  stop(): void;
}

export function autoRenewLease(outer: AbortSignal, leaseMs: number, renew: () => Promise<boolean>): Lease {
  const lost = new AbortController();
  const lose = () => lost.abort(new FleetError("stale-version", "Another worker has taken this over."));
  let missedSince: number | undefined;
  async function renewOrLose(): Promise<void> {
    try {
      if (!(await renew())) lose();
      missedSince = undefined;
    } catch {
      // PostgreSQL is away: the lease may run out unseen, so after its time it counts as lost.
      missedSince ??= Date.now();
      if (Date.now() - missedSince > leaseMs) lose();
    }
  }
  const timer = setInterval(() => {
    void renewOrLose();
  }, leaseMs / 3);
  timer.unref();
  return {
    signal: AbortSignal.any([outer, lost.signal]),
    assertHeld() {
      if (lost.signal.aborted) throw lost.signal.reason;
      outer.throwIfAborted();
    },
    stop: () => clearInterval(timer),
  };
}
