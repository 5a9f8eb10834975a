/** Repeats a step after a pause, or at once when kicked. A failing step is reported, and repeated after longer pauses. */
import { setTimeout as pause } from "node:timers/promises";

export interface Loop {
  /** Requests the next step now, because there is work. */
  kick(): void;
  /** Resolves after the running step. */
  stop(): Promise<void>;
}

export interface LoopOptions {
  /** The pause between steps when nothing kicks. */
  readonly everyMs: number;
  /** May reject: the error is reported, and the next step waits longer (up to 10 s). */
  readonly step: () => Promise<unknown>;
  readonly onError: (error: unknown) => void;
}

const MAX_WAIT_MS = 10_000;

export function startLoop({ everyMs, step, onError }: LoopOptions): Loop {
  let kicked = false;
  let stopped = false;
  let wake = new AbortController();
  let failures = 0;

  async function run(): Promise<void> {
    // stop() sets it between the awaits.
    // oxlint-disable-next-line eslint/no-unmodified-loop-condition
    while (!stopped) {
      kicked = false;
      try {
        await step();
        failures = 0;
      } catch (error) {
        failures += 1;
        onError(error);
      }
      if (stopped || (kicked && failures === 0)) continue;
      wake = new AbortController();
      const waitMs = failures === 0 ? everyMs : Math.min(everyMs * 2 ** failures, MAX_WAIT_MS);
      await pause(waitMs, undefined, { signal: wake.signal }).catch(() => {});
    }
  }

  const running = run();
  return {
    kick() {
      kicked = true;
      // While the step fails, kicks are ignored, because they would only make it fail faster.
      if (failures === 0) wake.abort();
    },
    async stop() {
      stopped = true;
      wake.abort();
      await running;
    },
  };
}
