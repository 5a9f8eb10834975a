/** Failures: their class, and a record of them that always fits, whatever was captured. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { CiStep } from "../../../src/domain/task/ci.ts";
import {
  captureFailure,
  classifyCi,
  classifyExit,
  classifyReview,
  type FailureEvidence,
} from "../../../src/domain/task/failure.ts";
import { FailureClass, FailureContext } from "../../../src/domain/task/task.ts";

const plain = { workspacePath: "/home/u/ws", clean: (text: string) => text };

describe("classifyExit", () => {
  const exit = { exitCode: 0, signal: null, outOfMemory: false };
  test.each([
    [exit, "no_evidence", "no_changes"],
    [{ ...exit, exitCode: null }, "no_evidence", "no_changes"],
    [{ ...exit, exitCode: 3 }, "agent_error", "exit_3"],
    [{ ...exit, exitCode: 127 }, "environment_error", "program_not_runnable"],
    [{ ...exit, exitCode: 126 }, "environment_error", "program_not_runnable"],
    [{ ...exit, exitCode: 137 }, "agent_error", "out_of_memory"],
    [{ ...exit, exitCode: 1, outOfMemory: true }, "agent_error", "out_of_memory"],
    [{ ...exit, exitCode: null, signal: "SIGTERM" }, "agent_error", "killed_by_sigterm"],
    [{ ...exit, exitCode: 1, reported: "provider_limit" as const }, "provider_limit", "provider_limit"],
  ])("%o is %s, %s", (evidence, failureClass, reason) => {
    expect(classifyExit(evidence)).toEqual({ class: failureClass, reason });
  });
});

describe("classifyCi", () => {
  const step: CiStep = { name: "test", argv: ["t"], exitCode: 1, signal: null, durationMs: 1, timedOut: false };

  test("passing checks are no failure", () => {
    expect(classifyCi({ status: "passing", steps: [] }, { passedBefore: false })).toBeUndefined();
  });

  test("red checks name the step, unless the same head passed before", () => {
    expect(
      classifyCi(
        { status: "failing", steps: [{ ...step, name: "setup", exitCode: 0 }, step] },
        { passedBefore: false },
      ),
    ).toEqual({
      class: "ci_failed",
      reason: "ci_test_failed",
    });
    expect(classifyCi({ status: "failing", steps: [] }, { passedBefore: false })).toEqual({
      class: "ci_failed",
      reason: "ci_failed",
    });
    expect(classifyCi({ status: "failing", steps: [step] }, { passedBefore: true })).toEqual({
      class: "ci_flake",
      reason: "ci_passed_before",
    });
  });

  test("a failed environment is not the product's fault", () => {
    expect(classifyCi({ status: "error", steps: [{ ...step, timedOut: true }] }, { passedBefore: false })).toEqual({
      class: "environment_error",
      reason: "ci_step_timeout",
    });
    expect(classifyCi({ status: "error", steps: [step] }, { passedBefore: false })).toEqual({
      class: "environment_error",
      reason: "ci_environment",
    });
  });
});

test("a rejection names who asked for changes", () => {
  expect(classifyReview(["logic", "security"])).toEqual({
    class: "review_rejected",
    reason: "changes_requested_by logic, security",
  });
});

describe("captureFailure", () => {
  test("keeps what the next attempt needs, cleaned", () => {
    const diff = "diff --git a/a.ts b/a.ts\n--- a/a.ts\n+++ b/a.ts\n@@ -1 +1 @@\n-a\n+SECRET\n";
    const failure = captureFailure(
      someEvidence({
        diff,
        outputTail: "at /home/u/ws/src/a.ts:3 reading /home/other/.ssh/id and /usr/lib/x SECRET",
        ciLog: "red",
        filesChanged: ["a.ts"],
        findings: [
          {
            reviewer: "logic",
            file: "a.ts",
            line: 1,
            severity: "high",
            message: "SECRET shown",
            suggestion: "hide SECRET",
          },
        ],
        exitCode: 1,
        signal: "SIGTERM",
        outOfMemory: false,
        durationMs: 12.7,
      }),
      { ...plain, clean: (text) => text.replaceAll("SECRET", "***") },
    );

    expect(failure).toMatchObject({
      class: "ci_failed",
      diff: "--- a.ts\n@@ -1 +1 @@\n-a\n+***\n",
      outputTail: "at src/a.ts:3 reading <path outside the workspace> and /usr/lib/x ***",
      durationMs: 13,
      findings: [{ reviewer: "logic", message: "*** shown", suggestion: "hide ***" }],
    });
    expect(failure.signature).toMatch(/^ci_failed-/);
  });

  test("a finding without a location or suggestion is valid", () => {
    const finding = { reviewer: "a", file: null, line: null, severity: "low", message: "m", suggestion: null } as const;

    expect(captureFailure(someEvidence({ findings: [finding] }), { ...plain, workspacePath: null }).findings).toEqual([
      finding,
    ]);
  });
});

describe("captureFailure, of anything", () => {
  test("a value that cannot be stored is replaced by a note that says so", () => {
    const cannot = {
      ...plain,
      clean: () => {
        throw new Error("no");
      },
    };

    expect(captureFailure(someEvidence({ attempt: 2 }), cannot)).toMatchObject({
      class: "ci_failed",
      reason: "unstorable",
      attempt: 2,
    });
    expect(captureFailure(someEvidence({ attempt: Number.NaN }), plain)).toMatchObject({
      reason: "unstorable",
      attempt: 0,
    });
  });

  test("always fits the schema, is well-formed and contains no NUL", () => {
    const text = fc.oneof(fc.string({ unit: "binary", maxLength: 200 }), fc.constant("x\0\ud800".repeat(20_000)));
    const evidence = fc.record(
      {
        class: fc.constantFrom(...FailureClass.options),
        reason: text,
        attempt: fc.integer(),
        summary: text,
        diff: text,
        outputTail: text,
        ciLog: text,
        filesChanged: fc.array(text, { maxLength: 3 }),
        durationMs: fc.double(),
        exitCode: fc.option(fc.integer()),
        signal: fc.option(text),
      },
      { requiredKeys: ["class", "reason", "attempt"] },
    );
    fc.assert(
      fc.property(evidence, (given) => {
        const failure = captureFailure(given, plain);
        expect(FailureContext.parse(failure)).toEqual(failure);
        const json = JSON.stringify(failure);
        expect(json.includes("\\u0000")).toBe(false);
        expect(json).not.toMatch(/\\ud[89a-f]/);
      }),
      { numRuns: 60 },
    );
  });
});

function someEvidence(evidence: Partial<FailureEvidence> = {}): FailureEvidence {
  return { class: "ci_failed", reason: "ci_test_failed", attempt: 0, ...evidence };
}
