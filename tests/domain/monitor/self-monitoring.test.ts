/** Self-monitoring: when a check is overdue, and when a wait is too long. */
import { expect, test } from "vitest";
import { decideBurst, decideOverload, isOverdue } from "../../../src/domain/monitor/self-monitoring.ts";

test.each([
  [5_000, 69_000, false],
  [5_000, 71_000, true],
  [3_600_000, 7_200_000, false],
  [3_600_000, 7_300_000, true],
])("a check of every %i ms that is %i ms old is overdue: %s", (periodMs, ageMs, missed) => {
  expect(isOverdue({ periodMs, ageMs })).toBe(missed);
});

const limits = { waitMinutes: 10, queueDepth: 100 };

test.each([
  ["a long line", { waiting: 101, oldestMs: 0 }, false, "raise"],
  ["a long wait", { waiting: 1, oldestMs: 600_001 }, false, "raise"],
  ["what was told", { waiting: 500, oldestMs: 0 }, true, "nothing"],
  ["just below the limit", { waiting: 90, oldestMs: 0 }, true, "nothing"],
  ["half of it", { waiting: 49, oldestMs: 299_000 }, true, "end"],
  ["one figure above half", { waiting: 10, oldestMs: 301_000 }, true, "nothing"],
  ["a quiet fleet", { waiting: 0, oldestMs: 0 }, false, "nothing"],
] as const)("for %s the right alert is raised", (_, load, isOpen, decision) => {
  expect(decideOverload(load, limits, { isOpen })).toBe(decision);
});

test.each([
  [50, false, "raise"],
  [49, false, "nothing"],
  [500, true, "nothing"],
  [25, true, "nothing"],
  [24, true, "end"],
  [0, false, "nothing"],
] as const)("after %i refused spawns, reported before: %s, the result is %s", (refused, isOpen, decision) => {
  expect(decideBurst(refused, 50, { isOpen })).toBe(decision);
});
