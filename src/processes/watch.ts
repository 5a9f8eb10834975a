/** Every process watches the house by its own clock: should the queues have lost every schedule, or no worker run, somebody still says so. */
import type { Fleet } from "../conductor/fleet.ts";
import { watchFleet } from "../conductor/watch/health.ts";
import { startLoop, type Loop } from "./loop.ts";

const WATCH_MS = 10_000;

export function startSelfMonitoring(fleet: Fleet): Loop {
  return startLoop({
    everyMs: WATCH_MS,
    step: () => watchFleet(fleet),
    onError: (error) => fleet.log.warn({ component: "watch", error: String(error) }, "the house could not be watched"),
  });
}
