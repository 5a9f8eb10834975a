/** Faults on purpose, for drills: FLEET_KILL_AT=step:before|after kills this process there, FLEET_STOP_AT stops it, once. Several, parted by commas: the first that is met. */
import { writeSync } from "node:fs";
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
    // Told synchronously: nothing that waits is written any more.
    writeSync(1, `${JSON.stringify({ fault: point, subject })}\n`);
    process.kill(process.pid, kills.has(point) ? "SIGKILL" : "SIGSTOP");
    // Signals are delivered between turns of the event loop.
    await new Promise((resolve) => setTimeout(resolve, 50));
  };
}
