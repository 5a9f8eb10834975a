/** Schedules as lines: one row each, then the errors in files, then what differs from the files. */
import type { SchedulesView, ScheduleStatus, ScheduleView } from "../../views/orders/schedule.ts";
import { killSwitchHeader } from "./estop-lines.ts";
import { renderTable, type Column } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { ago, plural, untilCell, type Colour } from "./format.ts";

const SCHEDULE_STYLES: Readonly<Record<ScheduleStatus, { readonly glyph: string; readonly colour: Colour }>> = {
  on: { glyph: "●", colour: "green" },
  paused: { glyph: "⏸", colour: "yellow" },
  disabled: { glyph: "−", colour: "gray" },
  invalid: { glyph: "✖", colour: "red" },
};

export function scheduleLines(terminal: Terminal, view: SchedulesView, now: Date): string[] {
  const { schedules, strays, stops } = view;
  const header = killSwitchHeader(terminal, stops, now);
  if (schedules.length + strays.length === 0) {
    return [...header, "No schedules. Create schedules/<product>.json next to fleet.yaml; docs/factory.md shows how."];
  }
  const table = schedules.length > 0 ? renderTable(terminal, columnsFor(terminal, now), schedules) : [];
  return [
    ...header,
    ...table,
    ...problemLines(terminal, schedules),
    ...differenceLines(terminal, view),
    "",
    summaryLine(terminal, view),
  ];
}

function columnsFor(terminal: Terminal, now: Date): Column<ScheduleView>[] {
  return [
    {
      head: "PRODUCT",
      drop: 0,
      shrinkTo: 12,
      cell: ({ product }) => terminal.paint("bold", terminal.sanitize(product)),
    },
    { head: "STATE", drop: 0, cell: ({ standing }) => paintState(terminal, standing) },
    { head: "CADENCE", drop: 0, cell: formatCadence },
    { head: "LAST", drop: 1, cell: ({ lastRun }) => (lastRun === null ? "never" : ago(lastRun, now)) },
    { head: "NEXT", drop: 0, cell: (schedule) => nextRunCell(schedule, now) },
    { head: "JOBS", drop: 3, shrinkTo: 10, cell: ({ jobs }) => jobs.map(({ intent }) => intent).join(", ") },
    { head: "OUTCOME", drop: 2, shrinkTo: 16, cell: ({ lastOutcome }) => terminal.sanitize(lastOutcome ?? "") },
  ];
}

export function paintState(terminal: Terminal, standing: ScheduleStatus): string {
  const { glyph, colour } = SCHEDULE_STYLES[standing];
  return terminal.paint(colour, `${glyph} ${standing}`);
}

function formatCadence({ cadence, at, every }: ScheduleView): string {
  if (cadence === null) return "–";
  if (every !== null) return `every ${every} min`;
  return at === null ? cadence.replace("_", " ") : `${cadence} ${at}`;
}

function nextRunCell({ next, pushedAt, cadence }: ScheduleView, now: Date): string {
  if (cadence === "on_push" && pushedAt !== null) return "after its orders";
  return untilCell(next, now);
}

function problemLines(terminal: Terminal, schedules: readonly ScheduleView[]): string[] {
  const lines = schedules.flatMap(({ file, problems, paused, product }) => [
    ...problems.map(({ path, message }) => {
      const where = path === "" ? "" : `${terminal.sanitize(path)} `;
      return `${terminal.paint("red", "✖")} ${terminal.sanitize(file)}: ${where}${terminal.sanitize(message)}`;
    }),
    ...(paused
      ? [
          `${terminal.paint("yellow", "⏸")} ${product}: paused by ${terminal.sanitize(paused.by)}: ${terminal.sanitize(paused.reason)}`,
        ]
      : []),
  ]);
  return lines.length > 0 ? ["", ...lines] : [];
}

function differenceLines(terminal: Terminal, { schedules, strays }: SchedulesView): string[] {
  const entries = [
    ...schedules.flatMap(({ product, differences: found }) => found.map((what) => ({ id: product, what }))),
    ...strays,
  ];
  const lines = entries.map(
    ({ id, what }) => `${terminal.paint("yellow", "≠")} ${terminal.sanitize(id)}: ${terminal.sanitize(what)}`,
  );
  return lines.length > 0 ? ["", ...lines] : [];
}

function summaryLine(terminal: Terminal, { schedules, differences: count }: SchedulesView): string {
  const invalid = schedules.filter(({ standing }) => standing === "invalid").length;
  const parts = [plural(schedules.length, "schedule")];
  if (invalid > 0) parts.push(`${invalid} not valid`);
  if (count > 0) parts.push(`${plural(count, "difference")}, fixed by a worker at its next check`);
  const step = schedules.length > 0 ? "Run one now: fleet schedules run <product>" : "";
  return terminal.paint("dim", [`${parts.join(", ")}.`, step].filter(Boolean).join(" "));
}
