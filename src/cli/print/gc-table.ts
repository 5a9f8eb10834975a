/** What gc did, as lines: what goes with its reason and its way back, what was deleted, what stays. */
import type { Gone, HostGcReport } from "../../domain/gc/report.ts";
import type { GcView } from "../../views/gc.ts";
import { tableOf, type Column } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { plural, sizeOf, span } from "./format.ts";

export function gcLines(terminal: Terminal, view: GcView): string[] {
  const lines = view.hosts.flatMap((report) => hostLines(terminal, report));
  for (const host of view.waiting) {
    lines.push(
      `${terminal.paint("yellow", "!")} ${terminal.shown(host)} has not answered yet; it does what it was asked.`,
    );
  }
  return [...lines, lastLine(terminal, view)];
}

/** Of the commands that bring things back; all are in the audit, and in `--json`. */
const MOST_WAYS = 10;

function hostLines(terminal: Terminal, { host, gone, swept, kept, more }: HostGcReport): string[] {
  const lines = [terminal.paint("bold", terminal.shown(host))];
  if (gone.length > 0) lines.push(...tableOf(terminal, columnsFor(terminal), gone).map((line) => `  ${line}`));
  for (const { outcome, subject, why } of gone) {
    if (outcome === "failed")
      lines.push(`  ${terminal.paint("red", "✖")} ${terminal.shown(subject)}: ${terminal.shown(why ?? "")}`);
  }
  const ways = gone.flatMap(({ restore }) => (restore === null ? [] : [`  ↩ ${terminal.shown(restore)}`]));
  if (ways.length > 0) {
    const shown = ways.slice(0, MOST_WAYS).map((way) => terminal.paint("dim", way));
    const rest = ways.length > MOST_WAYS ? [`  … and ${ways.length - MOST_WAYS} more; the audit has all of them`] : [];
    lines.push("  Bring back:", ...shown, ...rest);
  }
  if (swept.length > 0) {
    lines.push(`  Put aside before, deleted now: ${plural(swept.length, "thing")}, ${sizeOf(bytesOf(swept))}`);
  }
  for (const { kind, reason, count } of kept) {
    lines.push(
      terminal.paint(
        "dim",
        `  stays: ${plural(count, kind, kind === "branch" ? "branches" : `${kind}s`)}, ${terminal.shown(reason)}`,
      ),
    );
  }
  if (more > 0) lines.push(`  ${more} more go in the next pass.`);
  return [...lines, ""];
}

function columnsFor(terminal: Terminal): Column<Gone>[] {
  const { paint, shown } = terminal;
  return [
    { head: "KIND", drop: 0, cell: ({ kind }) => kind },
    { head: "WHAT", drop: 0, shrinkTo: 12, cell: ({ subject }) => paint("bold", shown(subject)) },
    { head: "PRODUCT", drop: 2, cell: ({ product }) => shown(product ?? "") },
    { head: "SIZE", drop: 1, align: "right", cell: ({ bytes }) => (bytes === 0 ? "" : sizeOf(bytes)) },
    { head: "OUTCOME", drop: 0, cell: ({ outcome }) => WORDS[outcome] },
    { head: "WHY", drop: 3, shrinkTo: 16, cell: ({ reason }) => shown(reason) },
  ];
}

const WORDS: Readonly<Record<Gone["outcome"], string>> = {
  would: "would go",
  "put-aside": "put aside",
  removed: "removed",
  failed: "stays",
};

function bytesOf(things: readonly { readonly bytes: number }[]): number {
  return things.reduce((sum, { bytes }) => sum + bytes, 0);
}

function lastLine(terminal: Terminal, { dryRun, hosts, graceMinutes }: GcView): string {
  const gone = hosts.flatMap((report) => report.gone.filter(({ outcome }) => outcome !== "failed"));
  const swept = hosts.flatMap((report) => report.swept);
  const grace = span(graceMinutes * 60_000);
  const put = `${plural(gone.length, "thing")}, ${sizeOf(bytesOf(gone))}`;
  const freed = swept.length > 0 ? ` ${sizeOf(bytesOf(swept))} ${dryRun ? "would be" : "were"} freed.` : "";
  if (dryRun) return terminal.paint("dim", `${put} would go; nothing was changed.${freed} Do it: fleet gc`);
  return terminal.paint("dim", `${put} put aside; deleted after ${grace}.${freed}`);
}
