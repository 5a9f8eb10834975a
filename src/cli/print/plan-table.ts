/** Plans as lines: the orders by urgency, how their scores are composed, and what to type next. */
import { shortId } from "../../domain/task/task.ts";
import type { PlanSummary, PlanView } from "../../views/orders/plan.ts";
import { killSwitchHeader } from "./estop-lines.ts";
import { renderTable, type Column } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { ago, plural, type Colour } from "./format.ts";

type PlannedOrder = PlanView["plan"]["orders"][number];

interface PlanRow extends PlannedOrder {
  readonly place: number;
  readonly state: "planned" | "open" | "done";
}

export interface PlanDisplayOptions {
  readonly explain: boolean;
  readonly now: Date;
  /** The files that the orders were written to. */
  readonly files: readonly string[];
}

export function planLines(terminal: Terminal, made: PlanView, { explain, files, now }: PlanDisplayOptions): string[] {
  const rows = made.plan.orders.map((planned, at): PlanRow => ({
    ...planned,
    place: at + 1,
    state: made.standings[at]?.state ?? "planned",
  }));
  return [
    ...killSwitchHeader(terminal, made.stops, now),
    ...(rows.length > 0 ? [...renderTable(terminal, columnsFor(terminal, { explain }), rows), ""] : []),
    ...(explain ? explanationLines(terminal, rows) : []),
    countLine(made),
    ...leftOutLine(terminal, made),
    ...(files.length > 0 ? [`${plural(files.length, "file")} written to ${terminal.sanitize(folderOf(files))}`] : []),
    ...summaryLines(terminal, made, rows),
  ];
}

function columnsFor(terminal: Terminal, { explain }: { readonly explain: boolean }): Column<PlanRow>[] {
  const { paint, sanitize } = terminal;
  const always: Column<PlanRow>[] = [
    { head: "#", drop: 0, align: "right", cell: ({ place }) => paint("dim", String(place)) },
    { head: "PRODUCT", drop: 0, shrinkTo: 12, cell: ({ order }) => paint("bold", sanitize(order.product_id)) },
    { head: "INTENT", drop: 0, cell: ({ order }) => order.intent },
    { head: "SCORE", drop: 1, cell: ({ score }) => scoreBar(terminal, score) },
    {
      head: "ORDER",
      drop: 3,
      cell: ({ order, state }) => (state === "planned" ? shortId(order.job_id) : paint("dim", state)),
    },
  ];
  if (explain) return always;
  return [
    ...always,
    { head: "WHY", drop: 2, shrinkTo: 20, cell: ({ reasons }) => sanitize(withoutPoints(reasons[0])) },
  ];
}

const BAR_WIDTH = 7;

/** One block per thousand: the thousands are the reason, the hundreds and below depend on the product. */
function scoreBar({ paint }: Terminal, score: number): string {
  const blocks = Math.max(1, Math.min(BAR_WIDTH, Math.floor(score / 1_000)));
  const colour: Colour = score >= 6_000 ? "red" : score >= 3_000 ? "yellow" : "green";
  return `${paint(colour, "█".repeat(blocks))}${" ".repeat(BAR_WIDTH - blocks)} ${score}`;
}

function withoutPoints(reason = ""): string {
  return reason.replace(/^\+\d+ /, "");
}

function explanationLines({ paint, sanitize }: Terminal, rows: readonly PlanRow[]): string[] {
  return rows.flatMap(({ place, order, subject, score, reasons }) => [
    `${place}. ${paint("bold", sanitize(order.product_id))} ${order.intent}${subject ? ` ${sanitize(subject)}` : ""}  ${score}`,
    ...reasons.map((reason) => `     ${paint("dim", sanitize(reason))}`),
    "",
  ]);
}

/** Explains when there are fewer orders than wanted. */
function countLine({ plan: { orders, wanted, candidates } }: PlanView): string {
  if (orders.length === wanted) return `${plural(wanted, "order")} of ${plural(candidates, "candidate")}.`;
  const there = orders.length === 0 ? "there are no candidates" : "there are no more candidates";
  return `${plural(orders.length, "order")}; ${wanted} ${wanted === 1 ? "was" : "were"} wanted, but ${there}.`;
}

function leftOutLine({ paint }: Terminal, { plan: { left_out: out } }: PlanView): string[] {
  const parts = [
    ...(out.stopped > 0 ? [`${out.stopped} stopped`] : []),
    ...(out.disabled > 0 ? [`${out.disabled} disabled`] : []),
    ...(out.status > 0 ? [`${out.status} with a status that is not planned for`] : []),
  ];
  return parts.length === 0 ? [] : [paint("yellow", `Left out: ${parts.join(", ")}. See: fleet products`)];
}

function summaryLines({ paint }: Terminal, made: PlanView, rows: readonly PlanRow[]): string[] {
  if (rows.length === 0) return [];
  const open = rows.filter(({ state }) => state === "open").length;
  const summary = made.dryRun
    ? "Nothing was stored. Without --dry-run the orders are stored."
    : `Plan ${made.plan.plan_id.slice(0, 8)}: ${made.stored} new${open > 0 ? `, ${open} open already` : ""}. Run them: fleet run`;
  return [paint("dim", summary)];
}

function folderOf(files: readonly string[]): string {
  return (files[0] ?? "").replace(/[/\\][^/\\]*$/, "");
}

export function planListLines(terminal: Terminal, plans: readonly PlanSummary[], now: Date): string[] {
  if (plans.length === 0) return ["No plans. Create one: fleet plan"];
  const columns: Column<PlanSummary>[] = [
    { head: "PLAN", drop: 0, cell: ({ id }) => terminal.paint("bold", id) },
    { head: "MADE", drop: 0, cell: ({ createdAt }) => ago(createdAt, now) },
    { head: "FROM", drop: 2, cell: ({ source }) => source },
    { head: "WANTED", drop: 1, align: "right", cell: ({ wanted }) => String(wanted) },
    { head: "CANDIDATES", drop: 1, align: "right", cell: ({ candidates }) => String(candidates) },
    { head: "BY", drop: 3, shrinkTo: 8, cell: ({ operatorId }) => terminal.sanitize(operatorId) },
  ];
  return [
    ...renderTable(terminal, columns, plans),
    "",
    terminal.paint("dim", "Verify one: fleet plan --replay <plan>"),
  ];
}
