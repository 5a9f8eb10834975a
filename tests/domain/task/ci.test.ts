/** Checks of a head: what to do about them, and which part of their log explains the result. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decideCi, excerptLog, type CiFacts } from "../../../src/domain/task/ci.ts";

const head = "a".repeat(40);
const policy = { ciTimeoutMs: 60_000, ciReruns: 2 };
const now = new Date("2026-01-01T12:00:00Z");

describe("decideCi", () => {
  test.each<[string, Partial<CiFacts>, object]>([
    ["no checks: on to the review", { configured: false }, { do: "go_on", reason: "no_checks_configured" }],
    ["never run: start", { headSha: undefined }, { do: "start_ci", headSha: head, reason: "no_run_yet" }],
    ["run for an older head: start", { headSha: "b" }, { do: "start_ci", headSha: head, reason: "new_head" }],
    ["asked for but not there: start", { status: "none" }, { do: "start_ci", headSha: head, reason: "no_run_yet" }],
    ["passing: on to the review", { status: "passing" }, { do: "go_on", reason: "ci_passing" }],
    ["failing: fail", { status: "failing" }, { do: "fail", class: "ci_failed", reason: "ci_failed" }],
    [
      "failing but not required: on",
      { status: "failing", required: false },
      { do: "go_on", reason: "ci_not_required" },
    ],
    ["pending: wait", { status: "pending" }, { do: "wait", reason: "ci_pending" }],
    [
      "pending since nobody knows when: wait",
      { status: "pending", since: undefined },
      { do: "wait", reason: "ci_pending" },
    ],
    [
      "pending too long: fail",
      { status: "pending", since: new Date(now.getTime() - 60_000) },
      { do: "fail", class: "timeout", reason: "ci_timeout" },
    ],
    [
      "the environment failed: once more",
      { status: "error", errors: 2 },
      { do: "start_ci", headSha: head, reason: "ci_environment" },
    ],
    [
      "again and again: fail",
      { status: "error", errors: 3 },
      { do: "fail", class: "environment_error", reason: "ci_environment" },
    ],
    [
      "again and again, not required: on",
      { status: "error", errors: 3, required: false },
      { do: "go_on", reason: "ci_not_required" },
    ],
  ])("%s", (_, facts, decision) => {
    expect(decideCi(head, someCi(facts), policy, now)).toEqual(decision);
  });
});

describe("excerptLog", () => {
  test("a short log is returned whole", () => {
    expect(excerptLog("a\0b\ud800")).toBe("ab\ufffd");
  });

  test("keeps the first failure and what led to it", () => {
    const log = `${"ok fine\n".repeat(2_000)}before\n✗ adds up\nexpected 3\n${"later noise\n".repeat(2_000)}`;
    const excerpt = excerptLog(log);

    expect(excerpt).toContain("before\n✗ adds up\nexpected 3");
    expect(excerpt).toMatch(/^\n\[… cut …\]\n[^]*\n\[… cut …\]\n$/);
  });

  test("keeps the end when nothing looks like a failure, or when the failure is there", () => {
    expect(excerptLog(`${"dot ".repeat(5_000)}the end`)).toMatch(/the end$/);
    expect(excerptLog(`${"dot ".repeat(5_000)}Error: x`)).toMatch(/Error: x$/);
  });

  test("keeps the beginning when the failure is there", () => {
    expect(excerptLog(`Error: x${" dot".repeat(5_000)}`)).toMatch(/^Error: x[^]*\[… cut …\]\n$/);
  });

  test("is never longer than requested, and well-formed", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("error ", "😀", "x", "\0", "\n"), minLength: 60, maxLength: 300 }),
        fc.integer({ min: 60, max: 100 }),
        (log, most) => {
          const excerpt = excerptLog(log, most);
          expect(excerpt.length).toBeLessThanOrEqual(most);
          expect(excerpt.isWellFormed()).toBe(true);
        },
      ),
    );
  });
});

function someCi(facts: Partial<CiFacts>): CiFacts {
  return {
    configured: true,
    required: true,
    headSha: head,
    status: "pending",
    errors: 0,
    since: new Date(now.getTime() - 1_000),
    ...facts,
  };
}
