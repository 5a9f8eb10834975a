/** Verdicts: parsed from whatever a reviewer prints, and combined into one outcome. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { aggregateReviews, parseVerdict, type ReviewState } from "../../../src/domain/task/review.ts";

const MINUTE_MS = 60_000;
const startedAt = new Date("2026-01-01T12:00:00Z");
const approve = { verdict: "approve", summary: "fine", findings: [] };
const object = {
  verdict: "request_changes",
  summary: "no",
  findings: [{ file: "a.ts", line: 3, severity: "high", message: "leaks" }],
};

describe("parseVerdict", () => {
  test.each([
    ["alone", JSON.stringify(approve)],
    ["in a fence", "Here it is:\n```json\n" + JSON.stringify(approve, null, 2) + "\n```\nBye."],
    ["after prose with braces", `I looked at {x} and "{" and if (a) { b } closely.\n${JSON.stringify(approve)}`],
    ["beside other JSON", `{"tokens": 12}\n${JSON.stringify(approve)}\n{"cost": 3}`],
    ["twice, agreeing", `${JSON.stringify(approve)}\n${JSON.stringify(approve)}`],
  ])("finds a verdict %s", (_, text) => {
    expect(parseVerdict(text)).toMatchObject({ ok: true, verdict: { verdict: "approve", summary: "fine" } });
  });

  test("fills in the optional fields of a finding", () => {
    const parsed = parseVerdict(JSON.stringify({ verdict: "comment", findings: [{ message: "hm \u0000\ud800" }] }));

    expect(parsed).toEqual({
      ok: true,
      verdict: {
        verdict: "comment",
        summary: "",
        findings: [{ file: null, line: null, severity: "medium", message: "hm \ufffd", suggestion: null }],
      },
    });
  });

  test.each([
    ["nothing", "", "no JSON object"],
    ["a word", "approve", "no JSON object"],
    ["an unknown verdict", '{"verdict":"lgtm"}', "verdict"],
    ["an unknown field", '{"verdict":"approve","approved":true}', "approved"],
    ["a finding without message", '{"verdict":"comment","findings":[{"message":" "}]}', "message"],
    ["an object that never ends", '{"verdict":"approve"', "no JSON object"],
    ["verdicts that disagree", JSON.stringify(approve) + JSON.stringify(object), "disagree"],
  ])("refuses %s and says why", (_, text, why) => {
    const parsed = parseVerdict(text);

    expect(parsed.ok).toBe(false);
    expect(parsed.ok ? "" : parsed.error).toContain(why);
  });
});

describe("parseVerdict, of anything", () => {
  test("caps the size of what it stores", () => {
    const findings = Array.from({ length: 300 }, () => ({ message: "m".repeat(9_000).slice(0, 100) }));
    const parsed = parseVerdict(JSON.stringify({ verdict: "comment", summary: "s".repeat(9_000), findings }));

    expect(parsed.ok && parsed.verdict.findings.length).toBe(100);
    expect(parsed.ok && parsed.verdict.summary.length).toBe(4_000);
  });

  test("never throws, and stays fast with a flood of braces", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("{", "}", '"', "\\", "a", ":", "[") }),
        (text) => void parseVerdict(text),
      ),
    );
    expect(parseVerdict("{".repeat(1_000_000)).ok).toBe(false);
  });

  test("reads back any verdict that was written, however it is wrapped", () => {
    const verdicts = fc.record({
      verdict: fc.constantFrom("approve", "request_changes", "comment"),
      summary: fc.string({ maxLength: 200 }),
      findings: fc.array(
        fc.record({
          message: fc.string({ minLength: 1, maxLength: 50 }).filter((text) => text.replaceAll("\0", "").trim() !== ""),
        }),
        { maxLength: 5 },
      ),
    });
    fc.assert(
      fc.property(
        verdicts,
        fc.string({ unit: fc.constantFrom("a", "\n", "}", "`", " "), maxLength: 20 }),
        (verdict, prose) => {
          const parsed = parseVerdict(`${prose}${JSON.stringify(verdict)}${prose}`);
          expect(parsed.ok && parsed.verdict.verdict).toBe(verdict.verdict);
        },
      ),
    );
  });
});

describe("aggregateReviews", () => {
  test("approves when all verdicts are in and enough approve", () => {
    expect(outcome([said("approve"), said("comment"), missing()], 1)).toMatchObject({
      outcome: "approved",
      approvals: 1,
      missing: ["quiet"],
    });
  });

  test("needs no verdict when no reviewer is configured", () => {
    expect(outcome([], 0)).toMatchObject({ outcome: "approved", approvals: 0 });
  });

  test("rejects when one objects, with all findings, once all are in", () => {
    const objections = [said("request_changes", "a"), said("request_changes", "b", [])];

    expect(outcome([...objections, waiting()], 1)).toMatchObject({ outcome: "waiting", reason: "reviewers_running" });
    expect(outcome([...objections, said("approve")], 1)).toMatchObject({
      outcome: "rejected",
      by: ["a", "b"],
      findings: [
        { reviewer: "a", message: "leaks" },
        { reviewer: "b", message: "b says so", file: null },
      ],
    });
  });

  test("an objection without a comment is still an objection", () => {
    const mute: ReviewState = {
      reviewer: "m",
      state: "done",
      verdict: { verdict: "request_changes", summary: "", findings: [] },
    };

    expect(outcome([mute], 1)).toMatchObject({
      outcome: "rejected",
      findings: [{ message: "The reviewer requests changes without naming them." }],
    });
  });
});

describe("aggregateReviews, over time", () => {
  test("waits while there are neither approvals nor objections, then times out and names the missing reviewers", () => {
    expect(outcome([said("comment"), missing()], 1)).toMatchObject({
      outcome: "waiting",
      reason: "not_enough_approvals",
    });
    expect(outcome([said("comment"), missing()], 1, 30)).toEqual({
      outcome: "timed_out",
      approvals: 0,
      missing: ["quiet"],
      warning: "The review timed out with 0 of 1 approvals; no answer from quiet.",
    });
    expect(outcome([said("comment")], 1, 30)).toMatchObject({ warning: "The review timed out with 0 of 1 approvals." });
  });

  test("a timeout is never an approval, and an objection remains one", () => {
    expect(outcome([said("approve"), waiting()], 1, 30)).toMatchObject({ outcome: "timed_out", missing: ["slow"] });
    expect(outcome([said("request_changes"), waiting()], 1, 30)).toMatchObject({ outcome: "rejected" });
  });

  test("an objection is never outvoted, whatever the other verdicts are and whenever they come", () => {
    const states = fc.array(fc.constantFrom(said("approve"), said("comment"), missing(), waiting()), { maxLength: 8 });
    fc.assert(
      fc.property(states, fc.nat(8), fc.nat(60), (others, required, minutes) => {
        expect(["rejected", "waiting"]).toContain(
          outcome([...others, said("request_changes")], required, minutes).outcome,
        );
      }),
    );
  });

  test("an approved round has all verdicts and enough approvals", () => {
    const states = fc.array(
      fc.constantFrom(said("approve"), said("comment"), said("request_changes"), missing(), waiting()),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(states, fc.nat(8), fc.nat(60), (reviews, required, minutes) => {
        if (outcome(reviews, required, minutes).outcome !== "approved") return;
        expect(reviews.every(({ state }) => state !== "waiting")).toBe(true);
        expect(reviews.filter(({ verdict }) => verdict?.verdict === "approve").length).toBeGreaterThanOrEqual(required);
      }),
    );
  });
});

function outcome(reviews: readonly ReviewState[], requiredApprovals: number, afterMinutes = 1) {
  const now = new Date(startedAt.getTime() + afterMinutes * MINUTE_MS);
  return aggregateReviews({ reviews, requiredApprovals, startedAt, timeoutMs: 30 * MINUTE_MS }, now);
}

function said(
  verdict: "approve" | "request_changes" | "comment",
  reviewer: string = verdict,
  findings?: [],
): ReviewState {
  const found = { file: "a.ts", line: 3, severity: "high", message: "leaks", suggestion: null } as const;
  return {
    reviewer,
    state: "done",
    verdict: { verdict, summary: `${reviewer} says so`, findings: findings ?? [found] },
  };
}

function missing(): ReviewState {
  return { reviewer: "quiet", state: "missing", verdict: undefined };
}

function waiting(): ReviewState {
  return { reviewer: "slow", state: "waiting", verdict: undefined };
}
