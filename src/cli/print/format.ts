/** How values are shown on a terminal: states with their glyph and colour, durations, money. */
import type { Condition, TaskStatus } from "../../domain/task/task.ts";

export type Colour = "red" | "green" | "yellow" | "blue" | "cyan" | "magenta" | "gray" | "bold" | "dim";

interface StatusStyle {
  readonly glyph: string;
  readonly colour: Colour;
  readonly label: string;
}

/** The glyph alone shows the state where there is no colour. */
export const STATUS_STYLES: Readonly<Record<TaskStatus, StatusStyle>> = {
  proposed: { glyph: "○", colour: "gray", label: "proposed" },
  spawning: { glyph: "◔", colour: "blue", label: "spawning" },
  running: { glyph: "●", colour: "cyan", label: "running" },
  pr_created: { glyph: "◐", colour: "blue", label: "pr created" },
  reviewing: { glyph: "◑", colour: "blue", label: "reviewing" },
  ready: { glyph: "★", colour: "green", label: "ready" },
  merged: { glyph: "✔", colour: "green", label: "merged" },
  rejected: { glyph: "↩", colour: "yellow", label: "rejected" },
  failed: { glyph: "✖", colour: "red", label: "failed" },
  retrying: { glyph: "↻", colour: "yellow", label: "retrying" },
  abandoned: { glyph: "✖", colour: "red", label: "abandoned" },
  cancelled: { glyph: "−", colour: "gray", label: "cancelled" },
};

export const CONDITION_STYLES: Readonly<Record<Condition, StatusStyle | undefined>> = {
  ok: undefined,
  needs_input: { glyph: "?", colour: "magenta", label: "needs input" },
  waiting_quota: { glyph: "⏸", colour: "yellow", label: "waits for quota" },
  waiting_slot: { glyph: "⏸", colour: "gray", label: "waits for a slot" },
  operator_attached: { glyph: "⌨", colour: "magenta", label: "attached" },
  paused: { glyph: "⏸", colour: "yellow", label: "paused" },
  doubtful: { glyph: "‽", colour: "yellow", label: "doubtful" },
};

/** At most two units: `4s`, `2m 10s`, `3h 5m`, `2d 4h`. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return ms < 1 ? "0s" : `${Math.max(0.1, Math.round(ms / 100) / 10)}s`;
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return twoUnits(minutes, "m", seconds % 60, "s");
  const hours = Math.floor(minutes / 60);
  return hours < 24 ? twoUnits(hours, "h", minutes % 60, "m") : twoUnits(Math.floor(hours / 24), "d", hours % 24, "h");
}

function twoUnits(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large}${largeUnit}` : `${large}${largeUnit} ${small}${smallUnit}`;
}

export function ago(iso: string, now: Date): string {
  const ms = now.getTime() - Date.parse(iso);
  return ms < 1_000 ? "just now" : `${formatDuration(ms)} ago`;
}

export function formatSpend({ tokens, cost }: { tokens: number | null; cost: number | null }): string {
  const parts = [];
  if (tokens !== null && tokens > 0)
    parts.push(tokens < 1_000 ? `${tokens}t` : `${(tokens / 1_000).toFixed(tokens < 10_000 ? 1 : 0)}kt`);
  if (cost !== null && cost > 0) parts.push(`$${cost.toFixed(2)}`);
  return parts.join(" ") || "–";
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** Sizes as `0 B`, `12 kB`, `3.4 MB`. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = bytes;
  let unit = 0;
  while (size >= 1_000 && unit < units.length - 1) {
    size /= 1_000;
    unit += 1;
  }
  return `${unit > 1 && size < 10 ? size.toFixed(1) : Math.round(size)} ${units[unit]}`;
}

/** When something is next due, as a table shows it. */
export function untilCell(next: string | null, now: Date): string {
  if (next === null) return "–";
  const ms = Date.parse(next) - now.getTime();
  return ms <= 0 ? "due" : `in ${formatDuration(ms)}`;
}
