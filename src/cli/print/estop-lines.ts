/** What is stopped on purpose, as lines: above every table that it has to do with. */
import { describeHold } from "../../domain/task/kill-switch.ts";
import type { EstopView } from "../../views/estop.ts";
import type { Terminal } from "./terminal.ts";
import { ago } from "./format.ts";

export function killSwitchLines(terminal: Terminal, stops: readonly EstopView[], now: Date): string[] {
  return stops.map((stop) => killSwitchLine(terminal, stop, now));
}

/** The same with an empty line below, when there are any. */
export function killSwitchHeader(terminal: Terminal, stops: readonly EstopView[], now: Date): string[] {
  return stops.length === 0 ? [] : [...killSwitchLines(terminal, stops, now), ""];
}

function killSwitchLine({ paint, sanitize }: Terminal, stop: EstopView, now: Date): string {
  const who = stop.by === null ? "fleet.yaml" : sanitize(stop.by);
  const when = stop.at === null ? "" : `, ${ago(stop.at, now)}`;
  return `${paint("red", "■")} ${paint("red", sanitize(describeHold(stop)))} ${paint("dim", `(by ${who}${when})`)}`;
}
