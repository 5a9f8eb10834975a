/** Schedules as lines: a row each, then what is wrong with files, then what is not as the files say. */
import type { SchedulesView, ScheduleStanding, ScheduleView } from "../../views/orders/schedule.ts";
import { stopHeader } from "./estop-lines.ts";
import { tableOf, type Column } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { ago, plural, span, type Colour } from "./format.ts";

const LOOKS: Readonly<Record<ScheduleStanding, { readonly glyph: string; readonly colour: Colour }>> = {
  on: { glyph: "●", colour: "green" },
  paused: { glyph: "⏸", colour: "yellow" },
  disabled: { glyph: "−", colour: "gray" },
  invalid: { glyph: "✖", colour: "red" },
};

export function scheduleLines(terminal: Terminal, view: SchedulesView, now: Date): string[] {
  const { schedules, strays, stops } = view;
  const header = stopHeader(terminal, stops, now);
  if (schedules.length + strays.length === 0) {
    return [...header, "No schedules. Write schedules/<product>.json beside fleet.yaml; docs/factory.md shows how."];
  }
  const table = schedules.length > 0 ? tableOf(terminal, columnsFor(terminal, now), schedules) : [];
  return [
    ...header,
    ...table,
    ...wrongs(terminal, schedules),
    ...differences(terminal, view),
    "",
    lastLine(terminal, view),
  ];
}

function columnsFor(terminal: Terminal, now: Date): Column<ScheduleView>[] {
  return [
    { head: "PRODUCT", drop: 0, shrinkTo: 12, cell: ({ product }) => terminal.paint("bold", terminal.shown(product)) },
    { head: "STATE", drop: 0, cell: ({ standing }) => stateOf(terminal, standing) },
    { head: "CADENCE", drop: 0, cell: cadenceOf },
    { head: "LAST", drop: 1, cell: ({ lastRun }) => (lastRun === null ? "never" : ago(lastRun, now)) },
    { head: "NEXT", drop: 0, cell: (schedule) => nextOf(schedule, now) },
    { head: "JOBS", drop: 3, shrinkTo: 10, cell: ({ jobs }) => jobs.map(({ intent }) => intent).join(", ") },
    { head: "OUTCOME", drop: 2, shrinkTo: 16, cell: ({ lastOutcome }) => terminal.shown(lastOutcome ?? "") },
  ];
}

export function stateOf(terminal: Terminal, standing: ScheduleStanding): string {
  const { glyph, colour } = LOOKS[standing];
  return terminal.paint(colour, `${glyph} ${standing}`);
}

function cadenceOf({ cadence, at, every }: ScheduleView): string {
  if (cadence === null) return "–";
  if (every !== null) return `every ${every} min`;
  return at === null ? cadence.replace("_", " ") : `${cadence} ${at}`;
}

function nextOf({ next, pushedAt, cadence }: ScheduleView, now: Date): string {
  if (cadence === "on_push" && pushedAt !== null) return "after its orders";
  if (next === null) return "–";
  const ms = Date.parse(next) - now.getTime();
  return ms <= 0 ? "due" : `in ${span(ms)}`;
}

function wrongs(terminal: Terminal, schedules: readonly ScheduleView[]): string[] {
  const lines = schedules.flatMap(({ file, problems, paused, product }) => [
    ...problems.map(({ path, message }) => {
      const where = path === "" ? "" : `${terminal.shown(path)} `;
      return `${terminal.paint("red", "✖")} ${terminal.shown(file)}: ${where}${terminal.shown(message)}`;
    }),
    ...(paused
      ? [
          `${terminal.paint("yellow", "⏸")} ${product}: paused by ${terminal.shown(paused.by)}: ${terminal.shown(paused.reason)}`,
        ]
      : []),
  ]);
  return lines.length > 0 ? ["", ...lines] : [];
}

function differences(terminal: Terminal, { schedules, strays }: SchedulesView): string[] {
  const said = [
    ...schedules.flatMap(({ product, differences: found }) => found.map((what) => ({ id: product, what }))),
    ...strays,
  ];
  const lines = said.map(
    ({ id, what }) => `${terminal.paint("yellow", "≠")} ${terminal.shown(id)}: ${terminal.shown(what)}`,
  );
  return lines.length > 0 ? ["", ...lines] : [];
}

function lastLine(terminal: Terminal, { schedules, differences: count }: SchedulesView): string {
  const invalid = schedules.filter(({ standing }) => standing === "invalid").length;
  const parts = [plural(schedules.length, "schedule")];
  if (invalid > 0) parts.push(`${invalid} not valid`);
  if (count > 0) parts.push(`${plural(count, "difference")}, mended by the next look of a worker`);
  const step = schedules.length > 0 ? "Run one now: fleet schedules run <product>" : "";
  return terminal.paint("dim", [`${parts.join(", ")}.`, step].filter(Boolean).join(" "));
}
