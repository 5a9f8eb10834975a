/** Products as lines: one row each, then why some are stopped. */
import type { ProductView } from "../../views/orders/product.ts";
import { renderTable, type Column } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { ago, plural, untilCell, type Colour } from "./format.ts";

export function productLines(terminal: Terminal, products: readonly ProductView[], now: Date): string[] {
  if (products.length === 0) return ["No products. Declare one in fleet.yaml; in its repository: fleet init"];
  const stopped = products.filter((product) => product.stopped);
  return [
    ...renderTable(terminal, columnsFor(terminal, now), products),
    ...(stopped.length > 0 ? ["", ...stopped.map((product) => stopLine(terminal, product, now))] : []),
    "",
    summaryLine(terminal, products),
  ];
}

function columnsFor(terminal: Terminal, now: Date): Column<ProductView>[] {
  return [
    { head: "PRODUCT", drop: 0, shrinkTo: 12, cell: ({ id }) => terminal.paint("bold", terminal.sanitize(id)) },
    { head: "STATUS", drop: 0, cell: (product) => productStatus(terminal, product) },
    { head: "CRITICALITY", drop: 3, cell: ({ criticality }) => criticality },
    { head: "SLA", drop: 4, align: "right", cell: ({ slaTier }) => String(slaTier) },
    { head: "VALIDATE", drop: 0, cell: (product) => lastRunCell(terminal, product, "validate", now) },
    { head: "TEST", drop: 0, cell: (product) => lastRunCell(terminal, product, "test", now) },
    { head: "NEXT", drop: 2, cell: ({ next }) => untilCell(next, now) },
    { head: "OWNER", drop: 5, shrinkTo: 8, cell: ({ owner }) => terminal.sanitize(owner ?? "") },
  ];
}

/** A stop is more important than the status, so it is shown instead. */
export function productStatus(terminal: Terminal, { stopped, enabled, planned, status }: ProductView): string {
  if (stopped) return terminal.paint("red", "■ stopped");
  if (!enabled) return terminal.paint("gray", "− disabled");
  return terminal.paint(planned ? "green" : "gray", `${planned ? "●" : "○"} ${status}`);
}

const RUN_STYLES: Readonly<Record<"success" | "failed", readonly [glyph: string, colour: Colour]>> = {
  success: ["✔", "green"],
  failed: ["✖", "red"],
};

function lastRunCell({ paint }: Terminal, product: ProductView, intent: "validate" | "test", now: Date): string {
  const run = product.lastRuns.find((ran) => ran.intent === intent);
  if (run) {
    const [glyph, colour] = RUN_STYLES[run.status];
    return paint(colour, `${glyph} ${ago(run.endedAt, now)}`);
  }
  return product.commands.includes(intent) ? "never" : paint("gray", "–");
}

function stopLine({ paint, sanitize }: Terminal, { id, stopped }: ProductView, now: Date): string {
  if (!stopped) return "";
  const who = stopped.by === "fleet.yaml" ? "fleet.yaml" : sanitize(stopped.who ?? "");
  const when = stopped.at === null ? "" : `, ${ago(stopped.at, now)}`;
  return `${paint("red", "■")} ${paint("bold", sanitize(id))}: ${paint("red", sanitize(stopped.reason))} (by ${who}${when})`;
}

function summaryLine({ paint }: Terminal, products: readonly ProductView[]): string {
  const planned = products.filter((product) => product.planned).length;
  return paint("dim", `${plural(products.length, "product")}, ${planned} planned for. Plan: fleet plan`);
}
