/** Decides about a task that has delivered a pull request, from its checks, its reviews and changes made outside Fleetwright. */
import { decideCi } from "../task/ci.ts";
import type { Decision, MonitoredTask, PullRequestFacts } from "./decision.ts";
import type { MonitorInput } from "./decide-agent.ts";

const MINUTE_MS = 60_000;

export function decidePrCreated(input: MonitorInput): Decision[] {
  const { pullRequest } = input.facts;
  // The forge could not be reached, which says nothing about the pull request.
  if (!pullRequest) return [];
  return (
    checkClosed(pullRequest) ??
    checkHeadMoved(input, pullRequest) ??
    checkCi(input, pullRequest) ??
    startReview(input, pullRequest)
  );
}

export function decideReviewing(input: MonitorInput): Decision[] {
  const { pullRequest, review } = input.facts;
  if (!pullRequest) return checkReviewTimeout(input);
  const blocked = checkClosed(pullRequest) ?? checkHeadMoved(input, pullRequest) ?? checkCi(input, pullRequest);
  if (blocked) return blocked;
  // A review of another head does not cover what would be merged: a new round is needed.
  return review.headSha === pullRequest.headSha ? checkReviewTimeout(input) : startReview(input, pullRequest);
}

export function decideReady(input: MonitorInput): Decision[] {
  const { task, facts, policy } = input;
  const { pullRequest, review } = facts;
  if (!pullRequest) return [];
  const { headSha, state } = pullRequest;
  if (state === "merged") return [mergedDecision(pullRequest)];
  if (state === "closed") return hold(task, "pull_request_closed", { ...pullRequest });
  // The pull request stays at the reviewed head, so that nothing unreviewed can be merged.
  if (checkHeadMoved(input, pullRequest)) return hold(task, "head_moved", { ...pullRequest, branch: facts.branch });
  if (review.headSha !== undefined && review.headSha !== headSha) return hold(task, "head_moved", { ...pullRequest });
  // A task that is ready because of a time-out is never merged automatically.
  if (!policy.autoMerge || task.reviewStatus?.["outcome"] !== "approved") return [];
  return [{ do: "merge", headSha, reason: "auto_merge", evidence: { ...pullRequest } }];
}

/** The pull request was merged or closed outside Fleetwright; undefined while it is open. */
function checkClosed(pullRequest: PullRequestFacts): Decision[] | undefined {
  if (pullRequest.state === "merged") return [mergedDecision(pullRequest)];
  if (pullRequest.state === "open") return undefined;
  // A person closed it on purpose, so only a person may retry it.
  const evidence = { ...pullRequest };
  return [{ do: "fail", class: "policy_refusal", reason: "pull_request_closed", evidence }];
}

/** Newer commits were pushed on a forge where a pull request follows its branch: they have to be checked and reviewed. */
function checkHeadMoved({ facts }: MonitorInput, { headSha }: PullRequestFacts): Decision[] | undefined {
  const { branch, opensOnPush } = facts;
  if (!opensOnPush || !branch || branch.headSha === headSha) return undefined;
  return [
    { do: "open_pull_request", headSha: branch.headSha, reason: "head_moved", evidence: { was: headSha, ...branch } },
  ];
}

function mergedDecision(pullRequest: PullRequestFacts): Decision {
  const { mergeSha } = pullRequest;
  return { do: "merged", mergeSha, reason: "merged_outside", evidence: { ...pullRequest } };
}

/** Returns undefined when the checks of this head allow the task to proceed. */
function checkCi({ facts, policy, now }: MonitorInput, { headSha }: PullRequestFacts): Decision[] | undefined {
  const decision = decideCi(headSha, facts.ci, policy.monitor, now);
  const evidence = { headSha, ci: facts.ci };
  if (decision.do === "go_on") return undefined;
  if (decision.do === "wait") return [];
  return [{ ...decision, evidence }];
}

function startReview({ task, facts, policy }: MonitorInput, { headSha }: PullRequestFacts): Decision[] {
  const { review } = facts;
  const evidence = { headSha, rounds: review.round, of: policy.review.maxRounds };
  if (review.round >= policy.review.maxRounds) return hold(task, "review_rounds_used", evidence);
  const reason = review.headSha === undefined || review.headSha === headSha ? "checks_done" : "new_head";
  return [{ do: "start_review", headSha, round: review.round + 1, reason, evidence }];
}

function checkReviewTimeout({ task, facts, policy, now }: MonitorInput): Decision[] {
  const startedAt = facts.review.startedAt ?? task.updatedAt;
  const tookMs = now.getTime() - startedAt.getTime();
  if (tookMs < policy.review.timeoutMinutes * MINUTE_MS) return [];
  if (policy.review.onTimeout === "hold" && isHeld(task)) return [];
  return [
    { do: "settle_review", onTimeout: policy.review.onTimeout, reason: "review_timed_out", evidence: { tookMs } },
  ];
}

function hold(task: MonitoredTask, reason: string, evidence: Decision["evidence"]): Decision[] {
  return isHeld(task) ? [] : [{ do: "hold", reason, evidence }];
}

/** The task is already held, so the inbox shows it. */
function isHeld({ condition }: MonitoredTask): boolean {
  return condition === "needs_input";
}
