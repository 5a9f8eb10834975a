/** Acting on the monitor's decisions: what each verb does, in one table. */
import { describeCapWarning } from "../../domain/budget.ts";
import type { Decision } from "../../domain/monitor/decision.ts";
import { alertEvent } from "../../domain/notify/alert.ts";
import type { Task } from "../../domain/task/task.ts";
import { markNudged } from "../../store/heartbeats.ts";
import { closePullRequest, openPullRequest } from "../../store/pull-requests.ts";
import { transitionTask } from "../../store/transitions.ts";
import { startCi } from "../delivery/ci.ts";
import { failEndedAttempt, isOnThisHost } from "../attempts/ended.ts";
import type { TaskObservation } from "../tasks/facts.ts";
import type { Fleet } from "../fleet.ts";
import { mergeReady } from "../delivery/merge.ts";
import { applyTransition, buildTransition, computeExcusedMs } from "../tasks/transition.ts";
import { settleRound, startReview } from "../delivery/review.ts";

/** One task, and all that is known of it. */
export interface ActionContext {
  readonly fleet: Fleet;
  readonly task: Task;
  readonly observed: TaskObservation;
}

type Verb = Decision["do"];
type DecisionHandler<Said extends Verb> = (
  about: ActionContext,
  decision: Extract<Decision, { do: Said }>,
) => Promise<Task | undefined>;

/** The task as it is afterwards; undefined: nothing was to be done, or nothing by this host. */
const HANDLERS: { readonly [Said in Verb]: DecisionHandler<Said> } = {
  run: ({ fleet, task }, decision) =>
    applyTransition(fleet, { task, to: "running", action: "task.running", ...auditFields(fleet, decision) }),
  open_pull_request: (about, { headSha }) => openPullRequestFor(about, headSha),
  pr_created: markPrCreated,
  publish: publishBranch,
  start_ci: ({ fleet, task }, { headSha }) => startCi(fleet, task, headSha),
  start_review: ({ fleet, task }, { headSha, round }) => startReview(fleet, task, headSha, round),
  settle_review: ({ fleet, task }, { onTimeout }) =>
    settleRound(fleet, { taskId: task.id, epoch: task.epoch }, onTimeout),
  merged: recordMerged,
  merge: ({ fleet, task }) => mergeReady(fleet, task, "policy:auto-merge"),
  nudge,
  warn_budget: warnBudget,
  set_condition: setCondition,
  hold: holdForInput,
  fail: ({ fleet, task, observed }, decision) => failEndedAttempt(fleet, task, observed, decision),
};

export function applyDecision<Said extends Verb>(
  context: ActionContext,
  decision: Extract<Decision, { do: Said }>,
): Promise<Task | undefined> {
  // True: a decision's verb names the entry that was made for decisions with this verb.
  return (HANDLERS[decision.do] as DecisionHandler<Said>)(context, decision);
}

function auditFields(fleet: Fleet, { reason, evidence }: Decision) {
  return { actor: fleet.worker, detail: { reason, evidence } };
}

function markPrCreated(
  { fleet, task }: ActionContext,
  decision: Extract<Decision, { do: "pr_created" }>,
): Promise<Task> {
  const { number, headSha } = decision;
  return applyTransition(fleet, {
    task,
    to: "pr_created",
    action: "task.pr_created",
    ...auditFields(fleet, decision),
    message: `pull request #${number}`,
    patch: {
      prNumber: number,
      prUrl: `${task.repository}#${number}`,
      headSha,
      ciStatus: "none",
      condition: "ok",
      conditionDetail: null,
    },
  });
}

async function nudge({ fleet, task }: ActionContext): Promise<undefined> {
  await fleet.store.asSystem((tx) => markNudged(tx, task.id));
  if (isOnThisHost(fleet, task)) await fleet.agents.probe({ taskId: task.id, attempt: task.attempt });
}

/** Once for each figure: the row says which were told, and is written with the message. */
function warnBudget({ fleet, task }: ActionContext, decision: Extract<Decision, { do: "warn_budget" }>): Promise<Task> {
  const { cap } = decision;
  const warned = [...(task.metadata.budgetWarned ?? []), cap.what];
  const message = describeCapWarning(cap);
  const owner = { tenantId: task.tenantId, operatorId: task.operatorId };
  const event = { ...owner, key: `${task.id}/${cap.what}`, subject: task.id, summary: message, facts: { ...cap } };
  return applyTransition(fleet, {
    task,
    action: "budget.nearly_used",
    ...auditFields(fleet, decision),
    message,
    notify: "budget_warning",
    events: [alertEvent("BUDGET_WARNING", { ...event, state: "raised", episode: 1, at: fleet.clock() })],
    patch: { metadata: { ...task.metadata, budgetWarned: warned } },
  });
}

function setCondition(
  { fleet, task }: ActionContext,
  decision: Extract<Decision, { do: "set_condition" }>,
): Promise<Task> {
  const { condition, detail: conditionDetail, reason } = decision;
  return applyTransition(fleet, {
    task,
    action: `condition.${condition}`,
    ...auditFields(fleet, decision),
    patch: {
      condition,
      conditionDetail,
      metadata: { ...task.metadata, excusedMs: computeExcusedMs(task, fleet.clock()) },
    },
    ...(condition === "needs_input" ? { notify: "needs_input" as const, message: reason } : {}),
  });
}

function holdForInput({ fleet, task }: ActionContext, decision: Decision): Promise<Task> {
  const text = decision.reason.replaceAll("_", " ");
  return applyTransition(fleet, {
    task,
    action: "task.held",
    ...auditFields(fleet, decision),
    message: text,
    notify: "needs_input",
    patch: { condition: "needs_input", conditionDetail: { text, held: true } },
  });
}

/** The agent's commits are on its host only: that host pushes them and opens the pull request; others leave it to it. */
async function publishBranch(context: ActionContext): Promise<Task | undefined> {
  const { fleet, task, observed } = context;
  if (!isOnThisHost(fleet, task)) return undefined;
  await fleet.faultPoint("publish:before", task.id);
  const published = await fleet.agents.publish({
    taskId: task.id,
    expectedOld: observed.facts.branch?.headSha ?? null,
  });
  await fleet.faultPoint("publish:after", task.id);
  return openPullRequestFor(context, published.sha);
}

/** Opens the pull request of this head, or moves the open one's; then the task itself is patched, so that the look goes on. */
async function openPullRequestFor(
  { fleet, task, observed }: ActionContext,
  headSha: string,
): Promise<Task | undefined> {
  const { repository } = observed;
  if (!repository) return undefined;
  const { mergeBase } = await fleet.forge.compare(repository, task.baseBranch, headSha);
  // Together with the task's own row: a monitor with stale facts, about a branch that is merged by now, opens no second one.
  const moved = await fleet.store.asSystem(async (tx) => {
    const { number } = await openPullRequest(tx, {
      repository: task.repository,
      taskId: task.id,
      tenantId: task.tenantId,
      operatorId: task.operatorId,
      title: task.title,
      headBranch: task.branch,
      baseBranch: task.baseBranch,
      headSha,
      baseSha: mergeBase ?? headSha,
      openedBy: fleet.worker,
      attempt: task.attempt,
    });
    return transitionTask(
      tx,
      buildTransition(fleet, {
        task,
        actor: fleet.worker,
        action: "pull_request.opened",
        detail: { number, headSha },
        patch: { prNumber: number, prUrl: `${task.repository}#${number}`, headSha },
      }),
    );
  });
  fleet.kickRelay();
  return moved;
}

async function recordMerged(
  { fleet, task, observed }: ActionContext,
  { mergeSha }: Extract<Decision, { do: "merged" }>,
): Promise<Task> {
  const { pullRequest } = observed;
  if (pullRequest?.state === "open") {
    const closing = { state: "merged" as const, ...(mergeSha ? { mergeSha } : {}) };
    await fleet.store.asSystem((tx) => closePullRequest(tx, pullRequest, closing));
  }
  return applyTransition(fleet, {
    task,
    to: "merged",
    actor: fleet.worker,
    action: "task.merged",
    message: "merged outside",
  });
}
