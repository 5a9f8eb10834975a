/** Ends a process in order: a signal drains it, a second one ends it at once, and the drain is limited in time. */
import type { Log } from "../log.ts";

/** Supervisors usually send SIGKILL after 30 s. */
const HARD_STOP_MS = 25_000;

/** Resolves when a signal arrived and `drain` has finished. */
export function drainOnSignal(log: Log, drain: () => Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    let stopping = false;
    const stop = (signal: NodeJS.Signals) => {
      if (stopping) process.exit(1);
      stopping = true;
      log.info({ component: "process", signal }, "stopping");
      const hard = setTimeout(() => {
        log.error({ component: "process" }, "stopping took too long");
        process.exit(1);
      }, HARD_STOP_MS);
      hard.unref();
      drain().then(resolve, reject);
    };
    process.on("SIGTERM", stop);
    process.on("SIGINT", stop);
  });
}

/** An unhandled rejection may have left anything half done, so end and let the supervisor restart. */
export function dieOnUnhandled(log: Log): void {
  const die = (error: unknown) => {
    log.fatal({ component: "process", error }, "unexpected error; this process ends");
    process.exit(1);
  };
  process.on("unhandledRejection", die);
  process.on("uncaughtException", die);
}
