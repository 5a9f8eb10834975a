/** Retrying: delays, budgets and class rules, and signatures that recognise the same failure again. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decideRetry,
  failureSignature,
  normaliseFailureText,
  retryDelayMs,
  RETRY_RULES,
  type RetryContext,
  type RetryTask,
} from "../../../src/domain/task/retry.ts";
import { FailureClass, TaskStatus, type FailureContext } from "../../../src/domain/task/task.ts";

const policy = { baseDelayMs: 30_000, capMs: 120_000, maxRounds: 10 };
const now = new Date("2026-01-01T12:00:00Z");

describe("retryDelayMs", () => {
  test.each([
    [0, 0, 0.5, 30_000],
    [1, 0.999, 0.5, 60_999],
    [2, 0.5, 0.8, 120_000],
    [40, 0, 0, 120_000],
    [0, 0, 0.81, 60_000],
    [9, 0, 1, 240_000],
  ])("attempt %d, chance %d, fleet %d: %d ms", (attempt, random, fleetUse, expected) => {
    expect(retryDelayMs({ attempt, random, fleetUse }, policy)).toBe(expected);
  });

  test("is a whole number between zero and twice the cap, for any input", () => {
    const facts = fc.record({
      attempt: fc.integer({ min: -5, max: 5_000 }),
      random: fc.double({ min: 0, max: 0.999, noNaN: true }),
      fleetUse: fc.double({ min: 0, max: 2, noNaN: true }),
    });
    fc.assert(
      fc.property(facts, (given) => {
        const delayMs = retryDelayMs(given, policy);
        expect(Number.isInteger(delayMs)).toBe(true);
        expect(delayMs).toBeGreaterThanOrEqual(0);
        expect(delayMs).toBeLessThanOrEqual(240_000);
      }),
    );
  });
});

describe("decideRetry", () => {
  test("retries, and says when and how", () => {
    expect(decideRetry(aTask(), aFailure(), aContext())).toEqual({
      do: "retry",
      delayMs: 30_000,
      burnsRetry: true,
      freshWorkspace: false,
      escalateModel: false,
      tokenFactor: 1,
      memoryFactor: 1,
      reason: "ci_failed",
    });
  });

  test("gives up when the retries are used up, and a provider's limit uses none", () => {
    const spent = aTask({ retryCount: 3 });

    expect(decideRetry(spent, aFailure(), aContext())).toEqual({ do: "abandon", reason: "all 3 retries are used up" });
    expect(decideRetry(spent, aFailure({ class: "provider_limit" }), aContext())).toMatchObject({
      do: "retry",
      burnsRetry: false,
    });
  });

  test("waits until the provider responds again", () => {
    const retryAt = new Date(now.getTime() + 3_600_000);

    expect(decideRetry(aTask(), aFailure({ class: "provider_limit" }), aContext({ retryAt }))).toMatchObject({
      delayMs: 3_600_000,
    });
  });

  test("a class that uses no retries begins to use them when it repeats", () => {
    const flake = { class: "ci_flake", signature: "x" } as const;
    const failure = aFailure({ class: "ci_flake" });

    expect(decideRetry(aTask(), failure, aContext({ history: [flake] }))).toMatchObject({ burnsRetry: false });
    expect(decideRetry(aTask(), failure, aContext({ history: [flake, flake] }))).toMatchObject({ burnsRetry: true });
    expect(decideRetry(aTask(), failure, aContext({ history: [flake, flake, aFailure()] }))).toMatchObject({
      burnsRetry: false,
    });
  });

  test("no task has more attempts than the limit, also when none used a retry", () => {
    const context = aContext({ history: [] });

    expect(decideRetry(aTask({ attempt: 9 }), aFailure({ class: "provider_limit" }), context).do).toBe("abandon");
  });
});

describe("decideRetry, by class and state", () => {
  test("a failure that repeats goes to a stronger model", () => {
    expect(decideRetry(aTask(), aFailure(), aContext({ history: [aFailure()] }))).toMatchObject({
      escalateModel: true,
      reason: "ci_failed, in the same way as before",
    });
  });

  test("a task that ran out of memory gets a smaller prompt and more memory", () => {
    const failure = aFailure({ class: "agent_error", outOfMemory: true });

    expect(decideRetry(aTask(), failure, aContext())).toMatchObject({ tokenFactor: 0.75, memoryFactor: 1.25 });
  });

  test.each(["policy_refusal", "budget_exceeded"] as const)("%s waits for a person", (failureClass) => {
    expect(decideRetry(aTask(), aFailure({ class: failureClass }), aContext()).do).toBe("hold");
  });

  test.each(TaskStatus.options.filter((status) => status !== "failed" && status !== "rejected"))(
    "a %s task is left alone",
    (status) => {
      expect(decideRetry(aTask({ status }), aFailure(), aContext()).do).toBe("nothing");
    },
  );

  test("every class has a rule, and no decision lets the retry count pass its limit", () => {
    const facts = fc.record({
      failureClass: fc.constantFrom(...FailureClass.options),
      status: fc.constantFrom(...TaskStatus.options),
      attempt: fc.nat(30),
      retryCount: fc.nat(10),
      maxRetries: fc.nat(10),
      history: fc.array(
        fc.record({ class: fc.constantFrom(...FailureClass.options), signature: fc.constantFrom("a", "b") }),
        { maxLength: 10 },
      ),
    });
    fc.assert(
      fc.property(facts, ({ failureClass, history, ...task }) => {
        const decision = decideRetry(task, aFailure({ class: failureClass }), aContext({ history }));
        if (decision.do !== "retry") return;
        expect(RETRY_RULES[failureClass].needsPerson).toBe(false);
        expect(!decision.burnsRetry || task.retryCount < task.maxRetries).toBe(true);
        expect(task.attempt).toBeLessThan(policy.maxRounds - 1);
      }),
    );
  });
});

describe("failureSignature", () => {
  test("the same failure has the same signature, wherever and whenever it happens", () => {
    const first = aFailure({ ciLog: log(12, "/home/a/ws-1/x.test.ts", "2026-01-01T10:00:00Z") });
    const again = aFailure({ ciLog: log(907, "/tmp/ws-22/x.test.ts", "2026-02-03 11:22:33.123") });

    expect(failureSignature(again)).toBe(failureSignature(first));
    expect(failureSignature(first)).toMatch(/^ci_failed-[0-9a-f]{16}$/);
  });

  test("a different failure has a different signature", () => {
    const names = [
      aFailure({ ciLog: "cannot find module" }),
      aFailure({ ciLog: "expected true" }),
      aFailure({ ciLog: "expected true", class: "ci_flake" }),
      aFailure({ ciLog: "expected true", exitCode: 2 }),
      aFailure({ findings: [{ file: "a.ts", message: "leaks" }] }),
      aFailure({ findings: [{ file: "a.ts", message: "is slow" }] }),
      aFailure({ outputTail: "gave up", signal: "SIGKILL" }),
    ].map(failureSignature);

    expect(new Set(names).size).toBe(names.length);
  });

  test("words remain, also those that could be hexadecimal", () => {
    expect(normaliseFailureText("Defaced facade 0xdeadbeef1 ./a/b.ts 12")).toBe(
      "defaced facade <n>xdeadbeef<n> <path> <n>",
    );
  });

  test("fits its column for any text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.constantFrom(...FailureClass.options), (text, failureClass) => {
        expect(failureSignature(aFailure({ class: failureClass, ciLog: text })).length).toBeLessThanOrEqual(64);
      }),
    );
  });

  test("needs nothing but a class and a reason", () => {
    expect(failureSignature({ class: "stall", reason: "stalled" })).toMatch(/^stall-/);
  });
});

function log(line: number, path: string, time: string): string {
  return `${time} ${path}:${line} expected 3 to be ${line} (took ${line} ms) at 3f2504e04f89`;
}

function aTask(task: Partial<RetryTask> = {}): RetryTask {
  return { status: "failed", attempt: 0, retryCount: 0, maxRetries: 3, ...task };
}

function aFailure(failure: Partial<FailureContext> = {}): FailureContext {
  return { class: "ci_failed", reason: "ci_test_failed", summary: "red", attempt: 0, signature: "s1", ...failure };
}

function aContext(context: Partial<RetryContext> = {}): RetryContext {
  return { history: [], policy, fleetUse: 0.5, random: 0, now, ...context };
}
