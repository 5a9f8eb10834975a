/** The result of gc as lines: what was collected with its reason and its restore command, what was deleted, what stays. */
import type { CollectedItem, HostGcReport } from "../../domain/gc/report.ts";
import type { GcView } from "../../views/gc.ts";
import { renderTable, type Column } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { plural, formatBytes, formatDuration } from "./format.ts";

export function gcLines(terminal: Terminal, view: GcView): string[] {
  const lines = view.hosts.flatMap((report) => hostLines(terminal, report));
  for (const host of view.waiting) {
    lines.push(
      `${terminal.paint("yellow", "!")} ${terminal.sanitize(host)} has not answered yet; the request stays in its queue.`,
    );
  }
  return [...lines, summaryLine(terminal, view)];
}

/** How many restore commands are shown; all of them are in the audit log and in `--json`. */
const MAX_RESTORE_COMMANDS = 10;

function hostLines(terminal: Terminal, { host, gone, swept, kept, more }: HostGcReport): string[] {
  const lines = [terminal.paint("bold", terminal.sanitize(host))];
  if (gone.length > 0) lines.push(...renderTable(terminal, columnsFor(terminal), gone).map((line) => `  ${line}`));
  for (const { outcome, subject, why } of gone) {
    if (outcome === "failed")
      lines.push(`  ${terminal.paint("red", "✖")} ${terminal.sanitize(subject)}: ${terminal.sanitize(why ?? "")}`);
  }
  const restoreCommands = gone.flatMap(({ restore }) =>
    restore === null ? [] : [`  ↩ ${terminal.sanitize(restore)}`],
  );
  if (restoreCommands.length > 0) {
    const shown = restoreCommands.slice(0, MAX_RESTORE_COMMANDS).map((way) => terminal.paint("dim", way));
    const rest =
      restoreCommands.length > MAX_RESTORE_COMMANDS
        ? [`  … and ${restoreCommands.length - MAX_RESTORE_COMMANDS} more; the audit log has all of them`]
        : [];
    lines.push("  Restore with:", ...shown, ...rest);
  }
  if (swept.length > 0) {
    lines.push(
      `  Deleted after their grace period: ${plural(swept.length, "thing")}, ${formatBytes(totalBytes(swept))}`,
    );
  }
  for (const { kind, reason, count } of kept) {
    lines.push(
      terminal.paint(
        "dim",
        `  stays: ${plural(count, kind, kind === "branch" ? "branches" : `${kind}s`)}, ${terminal.sanitize(reason)}`,
      ),
    );
  }
  if (more > 0) lines.push(`  ${more} more are left for the next pass.`);
  return [...lines, ""];
}

function columnsFor(terminal: Terminal): Column<CollectedItem>[] {
  const { paint, sanitize } = terminal;
  return [
    { head: "KIND", drop: 0, cell: ({ kind }) => kind },
    { head: "WHAT", drop: 0, shrinkTo: 12, cell: ({ subject }) => paint("bold", sanitize(subject)) },
    { head: "PRODUCT", drop: 2, cell: ({ product }) => sanitize(product ?? "") },
    { head: "SIZE", drop: 1, align: "right", cell: ({ bytes }) => (bytes === 0 ? "" : formatBytes(bytes)) },
    { head: "OUTCOME", drop: 0, cell: ({ outcome }) => OUTCOME_LABELS[outcome] },
    { head: "WHY", drop: 3, shrinkTo: 16, cell: ({ reason }) => sanitize(reason) },
  ];
}

const OUTCOME_LABELS: Readonly<Record<CollectedItem["outcome"], string>> = {
  would: "would be collected",
  "put-aside": "quarantined",
  removed: "removed",
  failed: "stays",
};

function totalBytes(things: readonly { readonly bytes: number }[]): number {
  return things.reduce((sum, { bytes }) => sum + bytes, 0);
}

function summaryLine(terminal: Terminal, { dryRun, hosts, graceMinutes }: GcView): string {
  const gone = hosts.flatMap((report) => report.gone.filter(({ outcome }) => outcome !== "failed"));
  const swept = hosts.flatMap((report) => report.swept);
  const grace = formatDuration(graceMinutes * 60_000);
  const summary = `${plural(gone.length, "thing")}, ${formatBytes(totalBytes(gone))}`;
  const freed = swept.length > 0 ? ` ${formatBytes(totalBytes(swept))} ${dryRun ? "would be" : "were"} freed.` : "";
  if (dryRun)
    return terminal.paint("dim", `${summary} would be collected; nothing was changed.${freed} Collect: fleet gc`);
  return terminal.paint("dim", `${summary} moved to quarantine; deleted after ${grace}.${freed}`);
}
