/** The scoreboard for people, on a terminal and as a page. */
import pc from "picocolors";
import type { ScoreLine, Target, Verdict } from "./line.ts";
import type { Quartiles } from "./rounds.ts";

const HEADERS = ["row", "what", "ours", "reference", "result", "target", "verdict"] as const;
const VERDICT_LABELS: Readonly<Record<Verdict, string>> = {
  met: "met",
  noise: "within noise",
  missed: "missed",
  wrong: "WRONG",
  shown: "–",
};

export function tableLines(lines: readonly ScoreLine[]): string[] {
  const cells = lines.map(toCells);
  const widths = HEADERS.map((head, at) => Math.max(head.length, ...cells.map((row) => row[at]?.length ?? 0)));
  const laidOut = (row: readonly string[]) =>
    row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join("  ")
      .trimEnd();
  return [
    pc.bold(laidOut(HEADERS)),
    ...lines.flatMap((line, at) => [
      coloured(line.verdict, laidOut(cells[at] ?? [])),
      ...remarks(line).map((remark) => coloured(line.verdict, `     ${remark}`)),
      ...line.notes.map((note) => pc.dim(`     ${note}`)),
    ]),
  ];
}

export function tablePage(lines: readonly ScoreLine[], about: readonly string[]): string {
  const notes = lines.flatMap((line) => remarks(line).map((remark) => `- **${line.row}** ${remark}`));
  const seen = lines.flatMap((line) => line.notes.map((note) => `- **${line.row}** ${line.what}: ${note}`));
  return [
    "# Benchmarks",
    "",
    "Written by `npm run bench -- --record`. Each figure is the median of rounds in which ours and the reference took turns;",
    "the result is of the same round's pair, with its quartiles. Less than 10 % is noise.",
    "",
    ...about.map((line) => `- ${line}`),
    "",
    pageRow(HEADERS),
    pageRow(HEADERS.map(() => "---")),
    ...lines.map((line) => pageRow(toCells(line))),
    ...(notes.length > 0 ? ["", "## What misses, and why", "", ...notes] : []),
    ...(seen.length > 0 ? ["", "## Seen besides", "", ...seen] : []),
    "",
  ].join("\n");
}

function pageRow(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

function toCells(line: ScoreLine): string[] {
  const theirs = line.theirs ? `${formatNumber(line.theirs.median)} ${line.unit} · ${line.reference}` : line.reference;
  return [
    line.row,
    line.what,
    `${formatNumber(line.ours.median)} ${line.unit}`,
    theirs,
    formatResult(line),
    formatTarget(line.target, line),
    VERDICT_LABELS[line.verdict],
  ];
}

function formatResult({ compared, result, unit }: ScoreLine): string {
  const range = ({ low, high }: Quartiles) => `[${formatNumber(low)}–${formatNumber(high)}]`;
  if (compared === "ratio") return `× ${formatNumber(result.median)} ${range(result)}`;
  const sign = compared === "difference" && result.median >= 0 ? "+" : "";
  return `${sign}${formatNumber(result.median)} ${unit} ${range(result)}`;
}

function formatTarget(target: Target | undefined, { compared, unit }: ScoreLine): string {
  if (!target) return "–";
  const of = compared === "ratio" ? "× " : "";
  const inUnit = compared === "ratio" ? "" : ` ${unit}`;
  return "atLeast" in target ? `≥ ${of}${target.atLeast}${inUnit}` : `≤ ${of}${target.atMost}${inUnit}`;
}

/** A mismatch is always shown; a reason only where it explains something. */
function remarks({ verdict, wrong, reason }: ScoreLine): string[] {
  if (wrong.length > 0) return wrong.map((what) => `mismatch: ${what}`);
  return reason && (verdict === "missed" || verdict === "noise") ? [`why: ${reason}`] : [];
}

function coloured(verdict: Verdict, text: string): string {
  if (verdict === "missed" || verdict === "wrong") return pc.red(text);
  if (verdict === "noise") return pc.yellow(text);
  return verdict === "met" ? pc.green(text) : text;
}

export function formatNumber(value: number): string {
  const size = Math.abs(value);
  if (size >= 1_000) return Math.round(value).toLocaleString("en-US");
  if (size >= 100) return value.toFixed(0);
  return size >= 10 ? value.toFixed(1) : value.toFixed(2);
}
