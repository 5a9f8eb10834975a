/** The definition of done: the criteria that a task must meet before it is `ready`, and their evaluation. */
import { z } from "zod";
import type { CiStatus } from "./task.ts";

/** The criteria that a task must meet; false turns one off. */
export const DoneCriteria = z.strictObject({
  pullRequestOpen: z.boolean().default(true),
  upToDate: z.boolean().default(false).describe("the branch contains every commit of its base"),
  ciPassing: z.boolean().default(true),
  reviews: z.int().min(0).max(16).optional().describe("approvals needed; the default is `review.requiredApprovals`"),
  noObjections: z.boolean().default(true),
  budgetRespected: z.boolean().default(true),
});
export type DoneCriteria = z.infer<typeof DoneCriteria>;

export interface DoneFacts {
  readonly pullRequest:
    { readonly number: number; readonly state: "open" | "closed" | "merged"; readonly headSha: string } | undefined;
  /** How many commits of the base the branch lacks; undefined when it could not be determined. */
  readonly behind: number | undefined;
  /** `configured` tells whether the product has checks at all. */
  readonly ci: {
    readonly configured: boolean;
    readonly required: boolean;
    readonly status: CiStatus;
    readonly headSha: string | undefined;
  };
  readonly reviews: {
    readonly requested: number;
    readonly required: number;
    readonly approvals: number;
    readonly objections: number;
    readonly headSha: string | undefined;
  };
  readonly budget: Readonly<Record<string, unknown>>;
  readonly spend: Readonly<Record<string, unknown>>;
}

export interface DoneCriterion {
  readonly state: "met" | "unmet" | "unknown" | "not_required";
  readonly evidence: string;
}

export type DoneCriterionName =
  "pull_request_open" | "up_to_date" | "ci_passing" | "reviews_passing" | "no_objections" | "budget_respected";

export interface DoneStatus {
  readonly met: boolean;
  readonly criteria: Readonly<Record<DoneCriterionName, DoneCriterion>>;
}

/** Evaluates all criteria. An unknown one counts as not met. */
export function evaluateDone(criteria: DoneCriteria, facts: DoneFacts): DoneStatus {
  const results: Record<DoneCriterionName, DoneCriterion> = {
    pull_request_open: criteria.pullRequestOpen ? pullRequestOpen(facts) : NOT_REQUIRED,
    up_to_date: criteria.upToDate ? upToDate(facts) : NOT_REQUIRED,
    ci_passing: criteria.ciPassing ? ciPassing(facts) : NOT_REQUIRED,
    reviews_passing: reviewsPassing(facts, criteria.reviews ?? facts.reviews.required),
    no_objections: criteria.noObjections ? noObjections(facts) : NOT_REQUIRED,
    budget_respected: criteria.budgetRespected ? budgetRespected(facts) : NOT_REQUIRED,
  };
  const met = Object.values(results).every(({ state }) => state === "met" || state === "not_required");
  return { met, criteria: results };
}

/** Returns the first limit of the budget that was exceeded, if any. A limit that is not a number is ignored. */
export function exceededBudget(
  budget: Readonly<Record<string, unknown>>,
  spend: Readonly<Record<string, unknown>>,
): { readonly what: string; readonly limit: number; readonly spent: number } | undefined {
  for (const [what, limit] of Object.entries(budget)) {
    const spent = spend[what];
    if (typeof limit === "number" && typeof spent === "number" && spent > limit) return { what, limit, spent };
  }
  return undefined;
}

const NOT_REQUIRED: DoneCriterion = { state: "not_required", evidence: "not required" };

function pullRequestOpen({ pullRequest }: DoneFacts): DoneCriterion {
  if (!pullRequest) return { state: "unmet", evidence: "no pull request" };
  const evidence = `pull request ${pullRequest.number} is ${pullRequest.state} at ${shortSha(pullRequest.headSha)}`;
  return { state: pullRequest.state === "closed" ? "unmet" : "met", evidence };
}

function upToDate({ behind }: DoneFacts): DoneCriterion {
  if (behind === undefined) return { state: "unknown", evidence: "the branches could not be compared" };
  if (behind === 0) return { state: "met", evidence: "contains every commit of its base" };
  return { state: "unmet", evidence: `${behind} commits behind its base` };
}

function ciPassing({ ci, pullRequest }: DoneFacts): DoneCriterion {
  if (!ci.configured) return { state: "met", evidence: "the product has no checks" };
  if (pullRequest && ci.headSha !== pullRequest.headSha) {
    return { state: "unmet", evidence: `no checks of ${shortSha(pullRequest.headSha)} yet` };
  }
  const evidence = `checks are ${ci.status} at ${shortSha(ci.headSha ?? "")}`;
  if (ci.status === "passing") return { state: "met", evidence };
  if (ci.status === "failing" && !ci.required) return { state: "met", evidence: `${evidence}; they are not required` };
  return { state: "unmet", evidence };
}

function reviewsPassing({ reviews, pullRequest }: DoneFacts, needed: number): DoneCriterion {
  if (needed === 0) return { state: "met", evidence: "no approval needed" };
  if (reviews.requested === 0) return { state: "met", evidence: "no reviewers are configured" };
  if (pullRequest && reviews.headSha !== pullRequest.headSha) {
    return { state: "unmet", evidence: `no reviews of ${shortSha(pullRequest.headSha)} yet` };
  }
  const evidence = `${reviews.approvals} of ${needed} approvals`;
  return { state: reviews.approvals >= needed ? "met" : "unmet", evidence };
}

function noObjections({ reviews }: DoneFacts): DoneCriterion {
  if (reviews.objections === 0) return { state: "met", evidence: "no changes requested" };
  return {
    state: "unmet",
    evidence: `${reviews.objections} ${reviews.objections === 1 ? "reviewer requests" : "reviewers request"} changes`,
  };
}

function budgetRespected({ budget, spend }: DoneFacts): DoneCriterion {
  const over = exceededBudget(budget, spend);
  if (!over) return { state: "met", evidence: "within budget" };
  return { state: "unmet", evidence: `${over.what}: ${over.spent} of ${over.limit}` };
}

function shortSha(sha: string): string {
  return sha.slice(0, 8) || "no commit";
}
