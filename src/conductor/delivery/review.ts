/** Reviews: a round is a set of rows; each job settles one row, and the job that settles the last decides for the task. */
import { randomBytes } from "node:crypto";
import type { ReviewJob } from "../../../queues/review.ts";
import { reviewQueue } from "../../../queues/review.ts";
import { evaluateDone, type DoneStatus } from "../../domain/task/definition-of-done.ts";
import { killSwitchOnRow } from "../../domain/task/kill-switch.ts";
import { classifyReview } from "../../domain/task/failure.ts";
import {
  aggregateReviews,
  ReviewFinding,
  type ReviewOutcome,
  type ReviewState,
  type Review,
} from "../../domain/task/review.ts";
import type { Reviewer } from "../../domain/settings/reviewer.ts";
import { doneCriteriaFor } from "../../domain/settings/settings.ts";
import type { Task } from "../../domain/task/task.ts";
import { unixUserOf } from "../../domain/tenant.ts";
import { runReviewer } from "../../forge/reviewers.ts";
import { listCiRuns } from "../../store/ci-runs.ts";
import { createHint } from "../../store/outbox.ts";
import {
  claimReview,
  insertReviews,
  lockReviewRound,
  renewReviewLease,
  releaseReview,
  settleReview,
} from "../../store/reviews.ts";
import type { Tx } from "../../store/sql.ts";
import { findTaskAtEpoch } from "../../store/tasks.ts";
import { transitionTask } from "../../store/transitions.ts";
import { ciFacts, reviewersOf } from "../tasks/facts.ts";
import { failureTransition } from "../tasks/fail.ts";
import type { Fleet } from "../fleet.ts";
import { withLease } from "../lease.ts";
import { buildTransition, type TransitionRequest } from "../tasks/transition.ts";
import { commentOnPullRequest, latestPullRequests } from "./pull-requests.ts";

/** Renewed at a third of it. Short, because the job of a dead worker is repeated only when the lease has expired. */
const LEASE_MS = 5_000;
/** What a reviewer can take in; the diff states what was cut. */
const DIFF_CAPS = { maxPerFile: 20_000, maxTotal: 120_000 };

/** pr_created → reviewing, or the next round for a new head. Without reviewers the round is settled at once. */
export async function startReview(fleet: Fleet, task: Task, headSha: string, round: number): Promise<Task> {
  const requested = reviewersOf(fleet, task).map(({ name, role }) => ({ id: fleet.newId(), reviewer: name, role }));
  const started = await fleet.store.asSystem(async (tx) => {
    await insertReviews(tx, { ...task, taskId: task.id, round, headSha }, requested);
    return transitionTask(
      tx,
      buildTransition(fleet, {
        task,
        ...(task.status === "reviewing" ? { takeOver: true } : { to: "reviewing" }),
        actor: fleet.worker,
        action: "review.asked",
        detail: { round, headSha, reviewers: requested.map(({ reviewer }) => reviewer) },
        message: `round ${round}: ${requested.map(({ reviewer }) => reviewer).join(", ") || "no reviewers"}`,
        patch: {
          headSha,
          reviewStatus: { round, headSha, outcome: "waiting" },
          metadata: { ...task.metadata, reviewRound: round, reviewedHead: headSha },
          condition: "ok",
          conditionDetail: null,
          waitingFor: "review",
        },
        dueMs: LEASE_MS,
        hints: (epoch) => requested.map(({ id }) => createHint(reviewQueue, { taskId: task.id, epoch, reviewId: id })),
      }),
    );
  });
  fleet.kickRelay();
  return requested.length > 0
    ? started
    : ((await settleRound(fleet, { taskId: task.id, epoch: started.epoch })) ?? started);
}

/** Handles a review job. Undefined when the task has moved on or another worker runs this review. */
export async function runReview(fleet: Fleet, job: ReviewJob, signal: AbortSignal): Promise<Task | undefined> {
  const claimed = await fleet.store.asSystem(async (tx) => {
    const task = await findTaskAtEpoch(tx, job);
    if (task?.status !== "reviewing" || killSwitchOnRow(task)) return undefined;
    const review = await claimReview(tx, { id: job.reviewId, worker: fleet.worker, leaseMs: LEASE_MS });
    return review && review.round === task.metadata.reviewRound ? { task, review } : undefined;
  });
  if (!claimed) return settleRound(fleet, job);
  const { task, review } = claimed;
  const reviewer = reviewersOf(fleet, task).find(({ name }) => name === review.reviewer);

  const claim = {
    signal,
    leaseMs: LEASE_MS,
    renew: () => fleet.store.asSystem((tx) => renewReviewLease(tx, review.id, fleet.worker, LEASE_MS)),
    release: () => fleet.store.asSystem((tx) => releaseReview(tx, review.id, fleet.worker)),
  };
  await withLease(claim, async (lease) => {
    const end = reviewer
      ? await requestReview(fleet, { task, review, reviewer }, lease.signal)
      : missingReview("it is not in fleet.yaml any more");
    lease.assertHeld();
    await fleet.faultPoint("review:before", task.id);
    await fleet.store.asSystem((tx) => settleReview(tx, { id: review.id, worker: fleet.worker }, end));
  });
  await fleet.faultPoint("review:after", task.id);
  return settleRound(fleet, job);
}

type ReviewResult = Pick<Review, "status" | "verdict" | "summary" | "findings" | "error">;

interface ReviewRequest {
  readonly task: Task;
  readonly review: Review;
  readonly reviewer: Reviewer;
}

async function requestReview(
  fleet: Fleet,
  { task, review, reviewer }: ReviewRequest,
  signal: AbortSignal,
): Promise<ReviewResult> {
  const forge = fleet.forges.of(task.repository);
  const repository = await forge.ensure(task.repository);
  const { redactor } = fleet;
  const diff = await forge.diff(repository, {
    base: task.baseBranch,
    head: review.headSha,
    caps: DIFF_CAPS,
    redact: (text) => redactor.redact(text),
  });
  const answer = await runReviewer({
    home: fleet.home,
    runId: `review-${review.id}`,
    gitDir: repository.gitDir,
    headSha: review.headSha,
    unixUser: unixUserOf(fleet.settings, task.tenantId),
    reviewer,
    brief: { task: { ...task, acceptance: task.metadata.acceptance }, diff, nonce: randomBytes(12).toString("hex") },
    redactor,
    signal,
  });
  if (answer.state === "missing") return missingReview(answer.error);
  const { verdict, summary, findings } = answer.verdict;
  return { status: "done", verdict, summary, findings, error: null };
}

function missingReview(error: string): ReviewResult {
  return { status: "missing", verdict: null, summary: null, findings: [], error: error.slice(0, 2_000) };
}

/** Decides as soon as the round allows it: ready, rejected, or still waiting. `onTimeout` means that the monitor found it timed out. */
export async function settleRound(
  fleet: Fleet,
  target: { taskId: string; epoch: number },
  onTimeout?: "ready" | "hold",
): Promise<Task | undefined> {
  const moved = await fleet.store.asSystem(async (tx) => {
    const seen = await findTaskAtEpoch(tx, target);
    if (seen?.status !== "reviewing") return undefined;
    const rows = await lockReviewRound(tx, seen.id, seen.metadata.reviewRound ?? 0);
    // The previous holder of the lock may have moved the task: then there is nothing left to decide.
    const task = await findTaskAtEpoch(tx, target);
    if (!task || killSwitchOnRow(task)) return undefined;
    const outcome = aggregate(fleet, task, rows);
    const move = await transitionFor(fleet, tx, { task, rows, outcome, onTimeout });
    return move && transitionTask(tx, buildTransition(fleet, move));
  });
  if (moved) fleet.kickRelay();
  return moved;
}

function aggregate(fleet: Fleet, task: Task, rows: readonly Review[]): ReviewOutcome {
  const { requiredApprovals, timeoutMinutes } = fleet.settings.review;
  return aggregateReviews(
    {
      reviews: rows.map(toReviewState),
      // There can never be more approvals than reviewers.
      requiredApprovals: Math.min(requiredApprovals, rows.length),
      startedAt: rows[0]?.createdAt ?? task.updatedAt,
      timeoutMs: timeoutMinutes * 60_000,
    },
    fleet.clock(),
  );
}

function toReviewState({ reviewer, status, verdict, summary, findings }: Review): ReviewState {
  if (status === "missing") return { reviewer, state: "missing", verdict: undefined };
  if (status !== "done" || !verdict) return { reviewer, state: "waiting", verdict: undefined };
  const parsed = findings.map((finding) => ReviewFinding.parse(finding));
  return { reviewer, state: "done", verdict: { verdict, summary: summary ?? "", findings: parsed } };
}

interface Round {
  readonly task: Task;
  readonly rows: readonly Review[];
  readonly outcome: ReviewOutcome;
  readonly onTimeout: "ready" | "hold" | undefined;
}

async function transitionFor(fleet: Fleet, tx: Tx, round: Round): Promise<TransitionRequest | undefined> {
  const { task, rows, outcome, onTimeout } = round;
  if (outcome.outcome === "waiting") return undefined;
  await postComment(fleet, tx, round);
  const reviewStatus = { round: task.metadata.reviewRound ?? 0, headSha: task.metadata.reviewedHead, ...outcome };
  if (outcome.outcome === "rejected") {
    const { by, findings } = outcome;
    const move = failureTransition(
      fleet,
      task,
      { ...classifyReview(by), findings, summary: `${by.join(", ")} asked for changes: ${findings[0]?.message ?? ""}` },
      "rejected",
    );
    return { ...move, patch: { ...move.patch, reviewStatus } };
  }
  if (outcome.outcome === "timed_out" && onTimeout === "hold") {
    return {
      ...holdTransition(fleet, task, outcome.warning),
      patch: {
        condition: "needs_input",
        conditionDetail: { text: outcome.warning, held: true },
        reviewStatus,
        waitingFor: null,
      },
    };
  }
  const done = await checkDone(fleet, tx, task, rows);
  if (!done.met && outcome.outcome === "approved") {
    const open = Object.entries(done.criteria).filter(([, { state }]) => state === "unmet" || state === "unknown");
    const text = `Approved, but not done: ${open.map(([name, { evidence }]) => `${name.replaceAll("_", " ")} (${evidence})`).join("; ")}`;
    return {
      ...holdTransition(fleet, task, text),
      patch: {
        condition: "needs_input",
        conditionDetail: { text, held: true },
        reviewStatus,
        doneStatus: { ...done },
        waitingFor: null,
      },
    };
  }
  return {
    task,
    to: "ready",
    actor: fleet.worker,
    action: "task.ready",
    message:
      outcome.outcome === "timed_out"
        ? outcome.warning
        : rows.length === 0
          ? "nobody reviews"
          : `${outcome.approvals} approved`,
    patch: { reviewStatus, doneStatus: { ...done }, condition: "ok", conditionDetail: null },
  };
}

function holdTransition(fleet: Fleet, task: Task, text: string): TransitionRequest {
  return { task, actor: fleet.worker, action: "review.held", message: text, notify: "needs_input" };
}

async function checkDone(fleet: Fleet, tx: Tx, task: Task, rows: readonly Review[]): Promise<DoneStatus> {
  const pullRequest = (await latestPullRequests(tx, [task.id])).get(task.id);
  const ci = ciFacts(fleet, task, await listCiRuns(tx, [task.id]));
  const forge = fleet.forges.of(task.repository);
  const repository = await forge.ensure(task.repository);
  const comparison = await forge.compare(repository, task.baseBranch, task.headSha ?? task.branch);
  return evaluateDone(doneCriteriaFor(fleet.settings, task.taskType), {
    pullRequest,
    behind: comparison.behind,
    ci: { ...ci, status: ci.status === "error" ? "failing" : ci.status },
    reviews: {
      requested: rows.length,
      required: Math.min(fleet.settings.review.requiredApprovals, rows.length),
      approvals: rows.filter(({ verdict }) => verdict === "approve").length,
      objections: rows.filter(({ verdict }) => verdict === "request_changes").length,
      headSha: rows[0]?.headSha ?? task.metadata.reviewedHead,
    },
    budget: task.budget,
    spend: task.spend,
  });
}

/** Posted once; the next round replaces it. */
async function postComment(fleet: Fleet, tx: Tx, { task, rows, outcome }: Round): Promise<void> {
  if (task.prNumber === null || rows.length === 0) return;
  const lines = rows.map(
    ({ reviewer, role, verdict, summary, error }) =>
      `- **${reviewer}** (${role}): ${verdict ?? "no answer"}. ${summary ?? error ?? ""}`,
  );
  const body = [
    `Review round ${task.metadata.reviewRound ?? 0}: ${outcome.outcome.replaceAll("_", " ")}`,
    ...lines,
  ].join("\n");
  const pullRequest = { repository: task.repository, number: task.prNumber };
  await commentOnPullRequest(fleet, tx, pullRequest, { marker: "fleetwright-review", body });
}
