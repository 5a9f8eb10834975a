/** How things are said on a terminal: states with their glyph and colour, spans of time, money. */
import type { Condition, TaskStatus } from "../../domain/task/task.ts";

export type Colour = "red" | "green" | "yellow" | "blue" | "cyan" | "magenta" | "gray" | "bold" | "dim";

interface Look {
  readonly glyph: string;
  readonly colour: Colour;
  readonly word: string;
}

/** The glyph alone tells the state where there is no colour. */
export const STATUS_LOOKS: Readonly<Record<TaskStatus, Look>> = {
  proposed: { glyph: "○", colour: "gray", word: "proposed" },
  spawning: { glyph: "◔", colour: "blue", word: "spawning" },
  running: { glyph: "●", colour: "cyan", word: "running" },
  pr_created: { glyph: "◐", colour: "blue", word: "pr created" },
  reviewing: { glyph: "◑", colour: "blue", word: "reviewing" },
  ready: { glyph: "★", colour: "green", word: "ready" },
  merged: { glyph: "✔", colour: "green", word: "merged" },
  rejected: { glyph: "↩", colour: "yellow", word: "rejected" },
  failed: { glyph: "✖", colour: "red", word: "failed" },
  retrying: { glyph: "↻", colour: "yellow", word: "retrying" },
  abandoned: { glyph: "✖", colour: "red", word: "abandoned" },
  cancelled: { glyph: "−", colour: "gray", word: "cancelled" },
};

export const CONDITION_LOOKS: Readonly<Record<Condition, Look | undefined>> = {
  ok: undefined,
  needs_input: { glyph: "?", colour: "magenta", word: "needs input" },
  waiting_quota: { glyph: "⏸", colour: "yellow", word: "waits for quota" },
  waiting_slot: { glyph: "⏸", colour: "gray", word: "waits for a slot" },
  operator_attached: { glyph: "⌨", colour: "magenta", word: "attached" },
  paused: { glyph: "⏸", colour: "yellow", word: "paused" },
  doubtful: { glyph: "‽", colour: "yellow", word: "doubtful" },
};

/** Two units at most: `4s`, `2m 10s`, `3h 5m`, `2d 4h`. */
export function span(ms: number): string {
  if (ms < 1_000) return ms < 1 ? "0s" : `${Math.max(0.1, Math.round(ms / 100) / 10)}s`;
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return both(minutes, "m", seconds % 60, "s");
  const hours = Math.floor(minutes / 60);
  return hours < 24 ? both(hours, "h", minutes % 60, "m") : both(Math.floor(hours / 24), "d", hours % 24, "h");
}

function both(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large}${largeUnit}` : `${large}${largeUnit} ${small}${smallUnit}`;
}

export function ago(iso: string, now: Date): string {
  const ms = now.getTime() - Date.parse(iso);
  return ms < 1_000 ? "just now" : `${span(ms)} ago`;
}

export function spendOf({ tokens, cost }: { tokens: number | null; cost: number | null }): string {
  const parts = [];
  if (tokens !== null && tokens > 0)
    parts.push(tokens < 1_000 ? `${tokens}t` : `${(tokens / 1_000).toFixed(tokens < 10_000 ? 1 : 0)}kt`);
  if (cost !== null && cost > 0) parts.push(`$${cost.toFixed(2)}`);
  return parts.join(" ") || "–";
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** `0 B`, `12 kB`, `3.4 MB`: what a disk shows. */
export function sizeOf(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = bytes;
  let unit = 0;
  while (size >= 1_000 && unit < units.length - 1) {
    size /= 1_000;
    unit += 1;
  }
  return `${unit > 1 && size < 10 ? size.toFixed(1) : Math.round(size)} ${units[unit]}`;
}
