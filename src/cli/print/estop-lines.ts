/** What is stopped on purpose, as lines: above every table that it has to do with. */
import { sayHold } from "../../domain/task/kill-switch.ts";
import type { EstopView } from "../../views/estop.ts";
import type { Terminal } from "./terminal.ts";
import { ago } from "./format.ts";

export function stopLines(terminal: Terminal, stops: readonly EstopView[], now: Date): string[] {
  return stops.map((stop) => stopLine(terminal, stop, now));
}

/** The same with an empty line below, when there are any. */
export function stopHeader(terminal: Terminal, stops: readonly EstopView[], now: Date): string[] {
  return stops.length === 0 ? [] : [...stopLines(terminal, stops, now), ""];
}

function stopLine({ paint, shown }: Terminal, stop: EstopView, now: Date): string {
  const who = stop.by === null ? "fleet.yaml" : shown(stop.by);
  const when = stop.at === null ? "" : `, ${ago(stop.at, now)}`;
  return `${paint("red", "■")} ${paint("red", shown(sayHold(stop)))} ${paint("dim", `(by ${who}${when})`)}`;
}
