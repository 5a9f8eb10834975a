/** Acts on the monitor's decisions: one table says what each verb does. */
import { describeCapWarning } from "../../domain/budget.ts";
import type { Decision } from "../../domain/monitor/decision.ts";
import { alertEvent } from "../../domain/notify/alert.ts";
import type { Task } from "../../domain/task/task.ts";
import { markNudged } from "../../store/heartbeats.ts";
import { transitionTask } from "../../store/transitions.ts";
import { startCi } from "../delivery/ci.ts";
import { failEndedAttempt, isOnThisHost } from "../attempts/ended.ts";
import type { TaskObservation } from "../tasks/facts.ts";
import type { Fleet } from "../fleet.ts";
import { mergeTask } from "../delivery/merge.ts";
import { openPullRequest, pullRequestUrl } from "../delivery/pull-requests.ts";
import { applyTransition, buildTransition, computeExcusedMs } from "../tasks/transition.ts";
import { settleRound, startReview } from "../delivery/review.ts";

/** One task and everything that is known about it. */
export interface ActionContext {
  readonly fleet: Fleet;
  readonly task: Task;
  readonly observed: TaskObservation;
}

type Verb = Decision["do"];
type DecisionHandler<Name extends Verb> = (
  context: ActionContext,
  decision: Extract<Decision, { do: Name }>,
) => Promise<Task | undefined>;

/** Each returns the task as it is afterwards; undefined when there was nothing to do, or nothing for this host. */
const HANDLERS: { readonly [Name in Verb]: DecisionHandler<Name> } = {
  run: ({ fleet, task }, decision) =>
    applyTransition(fleet, { task, to: "running", action: "task.running", ...auditFields(fleet, decision) }),
  open_pull_request: (context, { headSha }) => openPullRequestFor(context, headSha),
  pr_created: markPrCreated,
  publish: publishBranch,
  start_ci: ({ fleet, task }, { headSha }) => startCi(fleet, task, headSha),
  start_review: ({ fleet, task }, { headSha, round }) => startReview(fleet, task, headSha, round),
  settle_review: ({ fleet, task }, { onTimeout }) =>
    settleRound(fleet, { taskId: task.id, epoch: task.epoch }, onTimeout),
  merged: ({ fleet, task }) =>
    applyTransition(fleet, {
      task,
      to: "merged",
      actor: fleet.worker,
      action: "task.merged",
      message: "merged outside",
    }),
  merge: async ({ fleet, task }) => (await mergeTask(fleet, { id: "policy:auto-merge" }, task)).task,
  nudge,
  warn_budget: warnBudget,
  set_condition: setCondition,
  hold: holdForInput,
  fail: ({ fleet, task, observed }, decision) => failEndedAttempt(fleet, task, observed, decision),
};

export function applyDecision<Name extends Verb>(
  context: ActionContext,
  decision: Extract<Decision, { do: Name }>,
): Promise<Task | undefined> {
  // The cast holds because a decision's verb selects the handler of decisions with this verb.
  return (HANDLERS[decision.do] as DecisionHandler<Name>)(context, decision);
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
      prUrl: pullRequestUrl(fleet, task.repository, number),
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

/** Once for each limit: the task's row, which is written together with the message, says which warnings were sent. */
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

/** The agent's commits exist on its host only: that host pushes them and opens the pull request. */
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

/** Patches the task together with the pull request's row, so that the monitor goes on from there. */
async function openPullRequestFor(
  { fleet, task, observed }: ActionContext,
  headSha: string,
): Promise<Task | undefined> {
  const { repository } = observed;
  if (!repository) return undefined;
  const moved = await openPullRequest(fleet, { task, repository, headSha }, (tx, { number }) =>
    transitionTask(
      tx,
      buildTransition(fleet, {
        task,
        actor: fleet.worker,
        action: "pull_request.opened",
        detail: { number, headSha },
        patch: { prNumber: number, prUrl: pullRequestUrl(fleet, task.repository, number), headSha },
      }),
    ),
  );
  fleet.kickRelay();
  return moved;
}
