/** A step done again and again: after a pause, or at once when kicked. Its failures are told and waited out. */

export interface Loop {
  /** Do it soon: whatever it waits for is there. */
  kick(): void;
  /** Ends after the step under way. */
  stop(): Promise<void>;
}

export interface LoopOptions {
  /** Between steps when nothing kicks. */
  readonly everyMs: number;
  /** Rejecting is allowed: it is told, and the next step waits longer (up to 10 s). */
  readonly step: () => Promise<unknown>;
  readonly onError: (error: unknown) => void;
}

const MAX_WAIT_MS = 10_000;

export function startLoop({ everyMs, step, onError }: LoopOptions): Loop {
  let kicked = false;
  let stopped = false;
  let wake: (() => void) | undefined;
  let failures = 0;

  async function run(): Promise<void> {
    // stop() sets it, between the awaits.
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
      if (!kicked || failures > 0)
        await pause(failures === 0 ? everyMs : Math.min(everyMs * 2 ** failures, MAX_WAIT_MS));
    }
  }

  function pause(ms: number): Promise<void> {
    if (stopped) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(done, ms);
      wake = done;
      function done() {
        clearTimeout(timer);
        wake = undefined;
        resolve();
      }
    });
  }

  const running = run();
  return {
    kick() {
      kicked = true;
      // While the step fails, kicks would only make it fail faster.
      if (failures === 0) wake?.();
    },
    async stop() {
      stopped = true;
      wake?.();
      await running;
    },
  };
}
