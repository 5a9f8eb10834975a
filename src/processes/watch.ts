/** Every process checks the fleet on its own timer, so that lost schedules or missing workers are still reported. */
import type { Fleet } from "../conductor/fleet.ts";
import { watchFleet } from "../conductor/watch/health.ts";
import { startLoop, type Loop } from "./loop.ts";

const WATCH_MS = 10_000;

export function startSelfMonitoring(fleet: Fleet): Loop {
  return startLoop({
    everyMs: WATCH_MS,
    step: () => watchFleet(fleet),
    onError: (error) => fleet.log.warn({ component: "watch", error: String(error) }, "self-monitoring failed"),
  });
}
