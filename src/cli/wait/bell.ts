/** A bell for a verb that waits: it rings at each event of a stream, and after an interval in any case. */
import { setTimeout as pause } from "node:timers/promises";

export interface Bell {
  /** Resolves at the next ring, or after the given time. A ring while nothing waits ends the next wait at once. */
  readonly waitForRing: (ms: number) => Promise<void>;
  /** Stops listening. */
  readonly close: () => Promise<void>;
}

/** `listen` rings at each event until its signal aborts. `interrupted` rings too, and stops the listening. */
export function openBell(
  interrupted: AbortSignal,
  listen: (ring: () => void, signal: AbortSignal) => Promise<void>,
): Bell {
  const closing = new AbortController();
  let rung = new AbortController();
  const ring = () => rung.abort();
  const stop = () => {
    closing.abort();
    ring();
  };
  interrupted.addEventListener("abort", stop, { once: true });
  // A failing stream only costs speed: the verb still reads at intervals, and reports an error that it meets there.
  const listening = listen(ring, closing.signal)
    .catch(() => {})
    .finally(ring);
  return {
    async waitForRing(ms) {
      await pause(ms, undefined, { signal: rung.signal }).catch(() => {});
      rung = new AbortController();
    },
    async close() {
      closing.abort();
      interrupted.removeEventListener("abort", stop);
      await listening;
    },
  };
}
