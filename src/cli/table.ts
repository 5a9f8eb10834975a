/** Tables that fit: columns are dropped in a stated order, then the one that may is shortened. Piped, nothing is lost. */
import Table from "cli-table3";
import type { Terminal } from "./terminal.ts";

export interface Column<Row> {
  readonly head: string;
  /** Already escaped and painted. */
  readonly cell: (row: Row) => string;
  /** Dropped when there is no room, the highest first; 0 is never dropped. */
  readonly drop: number;
  /** Gives way, down to this many characters. */
  readonly shrinkTo?: number;
  readonly align?: "right";
}

const GAP = 2;

/** The lines of the table, without borders. */
export function tableOf<Row>(terminal: Terminal, columns: readonly Column<Row>[], rows: readonly Row[]): string[] {
  const texts = rows.map((row) => columns.map((column) => column.cell(row)));
  const filled = columns
    .map((column, at) => ({ column, at, width: widest(column.head, texts, at) }))
    .filter(({ at }) => texts.some((cells) => cells[at] !== ""));
  const { kept, widths } = fit(filled, terminal.columns);

  const table = new Table({
    head: kept.map(({ column }) => terminal.paint("dim", column.head)),
    chars: NO_BORDERS,
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
    colWidths: widths.map((width, at) => (at === widths.length - 1 ? width : width + GAP)),
    colAligns: kept.map(({ column }) => column.align ?? "left"),
  });
  for (const cells of texts)
    table.push(kept.map(({ at, column }) => (column.align ? `${cells[at]}  ` : (cells[at] ?? ""))));
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd());
}

interface Sized<Row> {
  readonly column: Column<Row>;
  readonly at: number;
  readonly width: number;
}

function fit<Row>(columns: readonly Sized<Row>[], room: number): { kept: Sized<Row>[]; widths: number[] } {
  let kept = [...columns];
  const least = () =>
    kept.reduce((sum, { column, width }) => sum + Math.min(column.shrinkTo ?? width, width) + GAP, -GAP);
  while (least() > room) {
    const first = kept.filter(({ column }) => column.drop > 0).toSorted((a, b) => b.column.drop - a.column.drop)[0];
    if (!first) break;
    kept = kept.filter((one) => one !== first);
  }
  let excess = kept.reduce((sum, { width }) => sum + width + GAP, -GAP) - room;
  const widths = kept.map(({ column, width }) => {
    const give = Math.max(0, Math.min(excess, width - Math.min(column.shrinkTo ?? width, width)));
    excess -= give;
    return width - give;
  });
  return { kept, widths };
}

function widest(head: string, texts: readonly (readonly string[])[], at: number): number {
  return texts.reduce((most, cells) => Math.max(most, widthOf(cells[at] ?? "")), widthOf(head));
}

// oxlint-disable-next-line eslint/no-control-regex
const ANSI = /\u001B\[[0-9;]*m/g;
/** East Asian wide, and emoji: two cells each. */
const WIDE =
  /[\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6\u{1F300}-\u{1FAFF}\u{20000}-\u{3FFFD}]/u;

/** Cells a text takes. Our own colours are the only escapes in it: everything else was escaped before. */
export function widthOf(text: string): number {
  let width = 0;
  for (const sign of text.replaceAll(ANSI, "")) width += WIDE.test(sign) ? 2 : 1;
  return width;
}

const NO_BORDERS = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "",
};
