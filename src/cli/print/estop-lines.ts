/** The active kill switches as lines, printed above every table that they affect. */
import { describeHold } from "../../domain/task/kill-switch.ts";
import type { EstopView } from "../../views/estop.ts";
import type { Terminal } from "./terminal.ts";
import { ago } from "./format.ts";

export function killSwitchLines(terminal: Terminal, stops: readonly EstopView[], now: Date): string[] {
  return stops.map((stop) => killSwitchLine(terminal, stop, now));
}

/** The same lines followed by an empty line, when there are any. */
export function killSwitchHeader(terminal: Terminal, stops: readonly EstopView[], now: Date): string[] {
  return stops.length === 0 ? [] : [...killSwitchLines(terminal, stops, now), ""];
}

function killSwitchLine({ paint, sanitize }: Terminal, stop: EstopView, now: Date): string {
  const who = stop.by === null ? "fleet.yaml" : sanitize(stop.by);
  const when = stop.at === null ? "" : `, ${ago(stop.at, now)}`;
  return `${paint("red", "■")} ${paint("red", sanitize(describeHold(stop)))} ${paint("dim", `(by ${who}${when})`)}`;
}
