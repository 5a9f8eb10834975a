/**
 * The definition of done: each criterion with its state and evidence, and nothing counts as done without
 * verification.
 */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  DoneCriteria,
  evaluateDone,
  exceededBudget,
  type DoneFacts,
} from "../../../src/domain/task/definition-of-done.ts";

const all = DoneCriteria.parse({ upToDate: true });

test("all criteria hold", () => {
  const done = evaluateDone(all, someFacts());

  expect(done.met).toBe(true);
  expect(done.criteria.reviews_passing).toEqual({ state: "met", evidence: "1 of 1 approvals" });
});

test("a criterion that is not required does not block", () => {
  const nothing = DoneCriteria.parse({
    pullRequestOpen: false,
    ciPassing: false,
    noObjections: false,
    budgetRespected: false,
    reviews: 0,
  });
  const done = evaluateDone(
    nothing,
    someFacts({ pullRequest: undefined, budget: { tokens: 1 }, spend: { tokens: 2 } }),
  );

  expect(done.met).toBe(true);
  expect(done.criteria.ci_passing.state).toBe("not_required");
});

describe("one criterion alone keeps a task from being ready:", () => {
  const open = someFacts().pullRequest!;
  const { ci, reviews } = someFacts();
  test.each<[string, keyof ReturnType<typeof evaluateDone>["criteria"], Partial<DoneFacts>, string]>([
    ["no pull request", "pull_request_open", { pullRequest: undefined }, "no pull request"],
    [
      "a closed one",
      "pull_request_open",
      { pullRequest: { ...open, state: "closed" } },
      "pull request 7 is closed at aaaaaaaa",
    ],
    ["a stale branch", "up_to_date", { behind: 3 }, "3 commits behind its base"],
    ["branches nobody could compare", "up_to_date", { behind: undefined }, "the branches could not be compared"],
    ["red checks", "ci_passing", { ci: { ...ci, status: "failing" } }, "checks are failing at aaaaaaaa"],
    ["checks of an older head", "ci_passing", { ci: { ...ci, headSha: "b".repeat(40) } }, "no checks of aaaaaaaa yet"],
    ["too few approvals", "reviews_passing", { reviews: { ...reviews, approvals: 0 } }, "0 of 1 approvals"],
    [
      "approvals of an older head",
      "reviews_passing",
      { reviews: { ...reviews, headSha: undefined } },
      "no reviews of aaaaaaaa yet",
    ],
    ["an objection", "no_objections", { reviews: { ...reviews, objections: 2 } }, "2 reviewers request changes"],
    ["a budget overrun", "budget_respected", { budget: { cost: 1 }, spend: { cost: 1.5 } }, "cost: 1.5 of 1"],
  ])("%s", (_, name, facts, evidence) => {
    const done = evaluateDone(all, someFacts(facts));

    expect(done.met).toBe(false);
    expect(done.criteria[name].evidence).toBe(evidence);
    expect(["unmet", "unknown"]).toContain(done.criteria[name].state);
  });
});

test("a product without checks and without reviewers is done without them", () => {
  const { ci, reviews } = someFacts();
  const facts = someFacts({
    ci: { ...ci, configured: false, status: "none" },
    reviews: { ...reviews, requested: 0, approvals: 0 },
  });

  expect(evaluateDone(all, facts).met).toBe(true);
});

test("a red check that is not required is shown, and does not block", () => {
  const { ci } = someFacts();
  const done = evaluateDone(all, someFacts({ ci: { ...ci, required: false, status: "failing" } }));

  expect(done.criteria.ci_passing).toEqual({
    state: "met",
    evidence: "checks are failing at aaaaaaaa; they are not required",
  });
});

test("pending checks never count as passed, regardless of who requires what", () => {
  const { ci } = someFacts();
  const done = evaluateDone(
    all,
    someFacts({ pullRequest: undefined, ci: { ...ci, status: "pending", headSha: undefined } }),
  );

  expect(done.criteria.ci_passing).toEqual({ state: "unmet", evidence: "checks are pending at no commit" });
});

test("a limit that is not a number limits nothing", () => {
  expect(exceededBudget({ tokens: "many", cost: 2 }, { tokens: 1e9, cost: 2 })).toBeUndefined();
});

test("it is met exactly when no required criterion is unmet or unknown", () => {
  const facts = fc.record({
    behind: fc.option(fc.nat(2), { nil: undefined }),
    approvals: fc.nat(2),
    objections: fc.nat(1),
  });
  fc.assert(
    fc.property(facts, ({ behind, approvals, objections }) => {
      const { reviews } = someFacts();
      const done = evaluateDone(all, someFacts({ behind, reviews: { ...reviews, approvals, objections } }));
      expect(done.met).toBe(behind === 0 && approvals >= 1 && objections === 0);
    }),
  );
});

function someFacts(facts: Partial<DoneFacts> = {}): DoneFacts {
  const headSha = "a".repeat(40);
  return {
    pullRequest: { number: 7, state: "open", headSha },
    behind: 0,
    ci: { configured: true, required: true, status: "passing", headSha },
    reviews: { requested: 2, required: 1, approvals: 1, objections: 0, headSha },
    budget: {},
    spend: {},
    ...facts,
  };
}
