/** The outbox relay of a process. A web process has one too, so that what a request committed is queued within milliseconds. */
import { relayWaiting } from "../conductor/relay.ts";
import { messageOf } from "../domain/errors.ts";
import type { OpenFleet } from "./fleet.ts";
import { startLoop, type Loop } from "./loop.ts";

/** How often the outbox is read when nothing in this process kicks. */
const POLL_MS = 250;

export function startRelay({ fleet, setRelayKick }: OpenFleet): Loop {
  const loop = startLoop({
    everyMs: POLL_MS,
    step: () => relayWaiting(fleet),
    onError: (error) => fleet.log.warn({ component: "relay", error: messageOf(error) }, "outbox relay paused"),
  });
  setRelayKick(() => loop.kick());
  return loop;
}
