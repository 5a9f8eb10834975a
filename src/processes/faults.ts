/** Faults on purpose, for drills: FLEET_KILL_AT=step:before|after kills this process there, FLEET_STOP_AT stops it. */
import { faultEnv } from "./env.ts";

/** Does nothing unless the environment names a point. */
export function faultFromEnvironment(): (point: string) => Promise<void> {
  const { killAt, stopAt } = faultEnv();
  if (!killAt && !stopAt) return async () => undefined;
  return async (point) => {
    if (point === killAt) process.kill(process.pid, "SIGKILL");
    if (point === stopAt) process.kill(process.pid, "SIGSTOP");
    // Signals are delivered between turns of the event loop.
    if (point === killAt || point === stopAt) await new Promise((resolve) => setTimeout(resolve, 50));
  };
}
