/** Self-monitoring: does every check run, and does work wait for too long? Rules over figures of the store. */
import { type z } from "zod";
import { type Governance } from "../settings/governance.ts";

export interface CheckAge {
  readonly periodMs: number;
  /** Time since it last completed, or since it was first expected. */
  readonly ageMs: number;
}

/** A check may miss one period and be late by a restart; more than that is overdue. */
const RESTART_MS = 60_000;

export function isOverdue({ periodMs, ageMs }: CheckAge): boolean {
  return ageMs > 2 * periodMs + RESTART_MS;
}

export interface Load {
  readonly waiting: number;
  readonly oldestMs: number;
}

interface AlertState {
  readonly isOpen: boolean;
}

type LoadLimits = z.infer<typeof Governance>["overload"];

const MINUTE_MS = 60_000;

/** Begins above a limit, and ends when both figures are below half of theirs: in between nothing changes. */
export function decideOverload(load: Load, limits: LoadLimits, { isOpen }: AlertState): "raise" | "end" | "nothing" {
  const share = Math.max(load.waiting / limits.queueDepth, load.oldestMs / (limits.waitMinutes * MINUTE_MS));
  if (share > 1) return isOpen ? "nothing" : "raise";
  return isOpen && share < 0.5 ? "end" : "nothing";
}

/** The same for spawns that were refused to one operator. */
export function decideBurst(refused: number, limit: number, { isOpen }: AlertState): "raise" | "end" | "nothing" {
  if (refused >= limit) return isOpen ? "nothing" : "raise";
  return isOpen && refused < limit / 2 ? "end" : "nothing";
}
