/**
 * Injected faults, for tests: FLEET_KILL_AT=step:before|after kills this process at that point, FLEET_STOP_AT stops it.
 * Of several points, separated by commas, only the first that is reached takes effect, once.
 */
import { writeSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { faultEnv } from "./env.ts";

/** Does nothing unless the environment names a point. */
export function faultFromEnvironment(): (point: string, subject?: string) => Promise<void> {
  const { killAt, stopAt } = faultEnv();
  const kills = new Set(killAt?.split(","));
  const stops = new Set(stopAt?.split(","));
  if (kills.size + stops.size === 0) return async () => undefined;
  let fired = false;
  return async (point, subject) => {
    if (fired || !(kills.has(point) || stops.has(point))) return;
    fired = true;
    // Written synchronously: the process ends before a pending write would happen.
    writeSync(1, `${JSON.stringify({ fault: point, subject })}\n`);
    process.kill(process.pid, kills.has(point) ? "SIGKILL" : "SIGSTOP");
    // Signals are delivered between turns of the event loop.
    await pause(50);
  };
}
