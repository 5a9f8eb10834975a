/** Ending a process in order: a signal drains it, a second one ends it at once, and nothing may take longer than it should. */
import type { Log } from "../log.ts";

/** Supervisors send SIGKILL after 30 s as a rule. */
const HARD_STOP_MS = 25_000;

/** Resolves when a signal came and `drain` is done. */
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

/** A promise nobody waited for may have left anything half done: end, and let the supervisor restart. */
export function dieOnUnhandled(log: Log): void {
  const die = (error: unknown) => {
    log.fatal({ component: "process", error }, "unexpected error; this process ends");
    process.exit(1);
  };
  process.on("unhandledRejection", die);
  process.on("uncaughtException", die);
}
