/** A silent agent: it is nudged once, then failed; waiting for something else does not count as silence. */
import { expect, test } from "vitest";
import { decideStall } from "../../../src/domain/monitor/stall.ts";

const now = new Date("2026-01-01T12:00:00Z");
const ago = (minutes: number) => new Date(now.getTime() - minutes * 60_000);
const stallMs = 10 * 60_000;

test.each([
  ["progress just now", { progressAt: ago(1), nudgedAt: null }, null, "none"],
  ["quiet for too long", { progressAt: ago(10), nudgedAt: null }, null, "nudge"],
  ["nudged a while ago", { progressAt: ago(15), nudgedAt: ago(5) }, null, "none"],
  ["nudged and still quiet", { progressAt: ago(25), nudgedAt: ago(10) }, null, "stalled"],
  ["nudged in an earlier silence", { progressAt: ago(12), nudgedAt: ago(30) }, null, "nudge"],
  ["quiet while it waited for an answer", { progressAt: ago(60), nudgedAt: null }, ago(3), "none"],
  ["quiet also after the answer", { progressAt: ago(60), nudgedAt: ago(40) }, ago(11), "nudge"],
] as const)("%s", (_, facts, since, decision) => {
  expect(decideStall(facts, since, stallMs, now)).toBe(decision);
});
