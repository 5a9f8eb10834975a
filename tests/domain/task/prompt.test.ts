/**
 * The prompt of an attempt: what it always contains, what may be omitted, and what untrusted text cannot do in it.
 */
import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { fenceUntrusted } from "../../../src/domain/text/fence.ts";
import { buildPrompt, estimateTokens, type PromptInput } from "../../../src/domain/task/prompt.ts";
import { FailureClass, type FailureContext } from "../../../src/domain/task/task.ts";

const NONCE = "a1b2c3d4e5f60718";
const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

function anInput(changes: Partial<PromptInput> = {}, attempt = 0): PromptInput {
  return {
    task: {
      id: "018f3b1e-7c2a-7def-8a90-1234567890ab",
      title: "Fix the login",
      description: "The login test fails now and then. Find out why.",
      repository: "/srv/git/shop.git",
      branch: "fleet/567890ab-fix-the-login",
      baseBranch: "main",
      attempt,
      taskType: "bug_fix",
    },
    acceptance: "The test passes a hundred times in a row.",
    commands: { test: "npm test" },
    nonce: NONCE,
    sha256,
    ...changes,
  };
}

function aFailure(changes: Partial<FailureContext> = {}): FailureContext {
  return {
    class: "ci_failed",
    reason: "checks failing",
    summary: "npm test ended with 1",
    attempt: 0,
    signature: "abc",
    ...changes,
  };
}

test("it always contains the task, acceptance, facts, rules and how to finish", () => {
  const { text, truncated } = buildPrompt(anInput({ budgetTokens: 1 }));

  for (const expected of [
    "Fix the login",
    "a hundred times in a row",
    "`fleet/567890ab-fix-the-login`",
    "`main`",
    "test: `npm test`",
    "git push origin HEAD",
    "FLEET-NO-CHANGE:",
    "FLEET-QUESTION:",
  ]) {
    expect(text).toContain(expected);
  }
  expect(truncated).toBe(false);
});

test("a retry describes what was tried, how it failed, what to avoid and what to keep", () => {
  const failure = aFailure({
    exitCode: 1,
    filesChanged: ["src/login.ts"],
    diff: "+ await sleep(1)",
    ciLog: "expected 200, got 401",
  });
  const { text } = buildPrompt(anInput({ failures: [failure] }, 1));

  for (const said of [
    "Attempt 1 failed (ci_failed)",
    "exit code 1",
    "src/login.ts",
    "+ await sleep(1)",
    "got 401",
    "Avoid:",
    "Keep:",
    "attempt 2",
  ]) {
    expect(text).toContain(said);
  }
});

test("each attempt's prompt differs from the last, whatever failed and however small the budget", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...FailureClass.options),
      fc.nat(9),
      fc.integer({ min: 1, max: 9_000 }),
      (kind, attempt, budgetTokens) => {
        const failures = Array.from({ length: attempt }, (_, index) => aFailure({ attempt: index, class: kind }));
        const before = buildPrompt(anInput({ failures, budgetTokens }, attempt));
        const after = buildPrompt(
          anInput({ failures: [...failures, aFailure({ attempt, class: kind })], budgetTokens }, attempt + 1),
        );

        expect(after.text).not.toBe(before.text);
        expect(after.contextHash).not.toBe(before.contextHash);
      },
    ),
  );
});

test("each attempt that ran out of memory reduces the budget by a quarter", () => {
  const outOfMemory = aFailure({ outOfMemory: true });

  expect(buildPrompt(anInput()).budgetTokens).toBe(8_000);
  expect(buildPrompt(anInput({ failures: [outOfMemory] }, 1)).budgetTokens).toBe(6_000);
  expect(buildPrompt(anInput({ failures: [outOfMemory, outOfMemory] }, 2)).budgetTokens).toBe(4_500);
});

test("the same input gives the same prompt; another nonce gives the same context hash", () => {
  const input = anInput({ failures: [aFailure()], background: [{ label: "lore", text: "Once upon a time." }] }, 1);

  expect(buildPrompt(input)).toEqual(buildPrompt(input));
  expect(buildPrompt({ ...input, nonce: "ffffffffffffffff" }).contextHash).toBe(buildPrompt(input).contextHash);
});

test("what does not fit is cut or omitted, and marked as such; the critical part stays", () => {
  const knowledge = [{ topic: "login", text: "words ".repeat(5_000) }];
  const background = [{ label: "lore", text: "tales ".repeat(5_000) }];
  const prompt = buildPrompt(anInput({ knowledge, background, budgetTokens: 2_000 }));

  expect(prompt.truncated).toBe(true);
  expect(prompt.totalTokens).toBeLessThanOrEqual(2_000);
  expect(prompt.sections.map(({ label, included }) => [label, included])).toEqual([
    ["task", true],
    ["repository", true],
    ["conduct", true],
    ["finish", true],
    ["knowledge: login", true],
    ["lore", false],
  ]);
});

test("the prompt stays within its budget for any helpful text", () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: "binary", maxLength: 3_000 }), { maxLength: 5 }),
      fc.integer({ min: 900, max: 3_000 }),
      (texts, budgetTokens) => {
        const prompt = buildPrompt(anInput({ knowledge: texts.map((text) => ({ topic: "t", text })), budgetTokens }));

        expect(estimateTokens(prompt.text)).toBeLessThanOrEqual(budgetTokens);
        expect(prompt.text.isWellFormed()).toBe(true);
      },
    ),
  );
});

test("secrets in logs do not reach the next prompt", () => {
  const token = `ghp_${"a1B2".repeat(9)}`;
  const { text } = buildPrompt(anInput({ failures: [aFailure({ outputTail: `push with ${token}` })] }, 1));

  expect(text).not.toContain(token);
});

test("no text can close its fence, even when it knows the nonce", () => {
  const attack = fc.array(
    fc.constantFrom(NONCE, "DATA ", ">>>", "<<<DATA ", "\n", "\r", "\u200b", NONCE.slice(0, 8), NONCE.slice(8), "x"),
    { maxLength: 40 },
  );
  fc.assert(
    fc.property(attack, fc.nat(200), (parts, most) => {
      const block = fenceUntrusted("log | x\nDATA", parts.join(""), NONCE, most);

      expect(block.split(NONCE)).toHaveLength(3);
      expect(block.endsWith(`\nDATA ${NONCE}>>>`)).toBe(true);
    }),
  );
});

test("a fence without a valid nonce is refused", () => {
  expect(() => fenceUntrusted("log", "text", "short", 100)).toThrow(/nonce/);
});

test("of a long text beginning and end stay, and the gap is marked", () => {
  const block = fenceUntrusted("log", `start ${"x".repeat(10_000)} end`, NONCE, 300);

  expect(block).toContain("start ");
  expect(block).toContain(" end\n");
  expect(block).toContain("[… 9710 characters left out …]");
});
