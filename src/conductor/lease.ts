/** Work under a lease: the lease is renewed while the work runs, and the work is aborted when the lease is lost. */
import { FleetError } from "../domain/errors.ts";

export interface Lease {
  /** Aborted when the caller's signal is, or when another worker has taken over. */
  readonly signal: AbortSignal;
  /** Throws when the lease was lost: another worker owns the result then. */
  assertHeld(): void;
}

interface LeaseOptions {
  /** The caller's own signal: shutdown, or the end of a job. */
  readonly signal: AbortSignal;
  readonly leaseMs: number;
  /** False when another worker holds it by now. */
  readonly renew: () => Promise<boolean>;
  /** Gives back what was claimed when the work throws, so that another worker need not wait for the lease to run out. */
  readonly release?: () => Promise<void>;
}

/** Runs the work that was just claimed. What it throws is thrown after the release. */
export async function withLease<Result>(
  options: LeaseOptions,
  work: (lease: Lease) => Promise<Result>,
): Promise<Result> {
  const lease = autoRenewLease(options.signal, options.leaseMs, options.renew);
  try {
    return await work(lease);
  } catch (error) {
    await options.release?.();
    throw error;
  } finally {
    lease.stop();
  }
}

function autoRenewLease(
  outer: AbortSignal,
  leaseMs: number,
  renew: () => Promise<boolean>,
): Lease & { readonly stop: () => void } {
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
  // At a third of the lease, two renewals may fail before it runs out.
  const timer = setInterval(() => void renewOrLose(), leaseMs / 3);
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
