/** A quiet agent: nudged once, then given up; waiting for somebody else is no silence. */
import { expect, test } from "vitest";
import { decideStall } from "../../src/domain/stall.ts";

const now = new Date("2026-01-01T12:00:00Z");
const ago = (minutes: number) => new Date(now.getTime() - minutes * 60_000);
const stallMs = 10 * 60_000;

test.each([
  ["progress just now", ago(1), null, null, "none"],
  ["quiet for too long", ago(10), null, null, "nudge"],
  ["nudged a while ago", ago(15), ago(5), null, "none"],
  ["nudged and still quiet", ago(25), ago(10), null, "stalled"],
  ["nudged in an earlier silence", ago(12), ago(30), null, "nudge"],
  ["quiet while it waited for an answer", ago(60), null, ago(3), "none"],
  ["quiet also after the answer", ago(60), ago(40), ago(11), "nudge"],
] as const)("%s", (_, progressAt, nudgedAt, since, decision) => {
  expect(decideStall({ progressAt, nudgedAt }, since, stallMs, now)).toBe(decision);
});
