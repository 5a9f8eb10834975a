/** Acting on the monitor's decisions: what each verb does, in one table. */
import { sayNearly } from "../../domain/budget.ts";
import type { Decision } from "../../domain/monitor/decision.ts";
import { noticeEvent } from "../../domain/notify/alert.ts";
import type { Task } from "../../domain/task/task.ts";
import { markNudged } from "../../store/heartbeats.ts";
import { closePullRequest, openPullRequest } from "../../store/pull-requests.ts";
import { WORKER } from "../../store/store.ts";
import { transitionTask } from "../../store/transitions.ts";
import { startCi } from "../delivery/ci.ts";
import { failEnded, isMine } from "../attempts/ended.ts";
import type { Known } from "../tasks/facts.ts";
import type { Fleet } from "../fleet.ts";
import { mergeReady } from "../delivery/merge.ts";
import { moveTask, transitionOf, excusedMs } from "../tasks/transition.ts";
import { settleRound, startReview } from "../delivery/review.ts";

/** One task, and all that is known of it. */
export interface Case {
  readonly fleet: Fleet;
  readonly task: Task;
  readonly known: Known;
}

type Verb = Decision["do"];
type Act<Said extends Verb> = (about: Case, decision: Extract<Decision, { do: Said }>) => Promise<Task | undefined>;

/** The task as it is afterwards; undefined: nothing was to be done, or nothing by this host. */
const ACTS: { readonly [Said in Verb]: Act<Said> } = {
  run: ({ fleet, task }, decision) =>
    moveTask(fleet, { task, to: "running", action: "task.running", ...because(fleet, decision) }),
  open_pull_request: (about, { headSha }) => openFor(about, headSha),
  pr_created: deliver,
  publish,
  start_ci: ({ fleet, task }, { headSha }) => startCi(fleet, task, headSha),
  start_review: ({ fleet, task }, { headSha, round }) => startReview(fleet, task, headSha, round),
  settle_review: ({ fleet, task }, { onTimeout }) =>
    settleRound(fleet, { taskId: task.id, epoch: task.epoch }, onTimeout),
  merged: recordMerged,
  merge: ({ fleet, task }) => mergeReady(fleet, task, "policy:auto-merge"),
  nudge,
  warn_budget: warnOfBudget,
  set_condition: setCondition,
  hold,
  fail: ({ fleet, task, known }, decision) => failEnded(fleet, task, known, decision),
};

export function act<Said extends Verb>(
  about: Case,
  decision: Extract<Decision, { do: Said }>,
): Promise<Task | undefined> {
  // True: a decision's verb names the entry that was made for decisions with this verb.
  return (ACTS[decision.do] as Act<Said>)(about, decision);
}

function because(fleet: Fleet, { reason, evidence }: Decision) {
  return { actor: fleet.worker, detail: { reason, evidence } };
}

function deliver({ fleet, task }: Case, decision: Extract<Decision, { do: "pr_created" }>): Promise<Task> {
  const { number, headSha } = decision;
  return moveTask(fleet, {
    task,
    to: "pr_created",
    action: "task.pr_created",
    ...because(fleet, decision),
    told: `pull request #${number}`,
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

async function nudge({ fleet, task }: Case): Promise<undefined> {
  await fleet.store.transaction(WORKER, (tx) => markNudged(tx, task.id));
  if (isMine(fleet, task)) await fleet.agents.probe({ taskId: task.id, attempt: task.attempt });
}

/** Once for each figure: the row says which were told, and is written with the message. */
function warnOfBudget({ fleet, task }: Case, decision: Extract<Decision, { do: "warn_budget" }>): Promise<Task> {
  const { cap } = decision;
  const warned = [...(task.metadata.budgetWarned ?? []), cap.what];
  const told = sayNearly(cap);
  const owner = { tenantId: task.tenantId, operatorId: task.operatorId };
  const event = { ...owner, key: `${task.id}/${cap.what}`, subject: task.id, summary: told, facts: { ...cap } };
  return moveTask(fleet, {
    task,
    action: "budget.nearly_used",
    ...because(fleet, decision),
    told,
    notify: "budget_warning",
    events: [noticeEvent("BUDGET_WARNING", { ...event, state: "raised", episode: 1, at: fleet.clock() })],
    patch: { metadata: { ...task.metadata, budgetWarned: warned } },
  });
}

function setCondition({ fleet, task }: Case, decision: Extract<Decision, { do: "set_condition" }>): Promise<Task> {
  const { condition, detail: conditionDetail, reason } = decision;
  return moveTask(fleet, {
    task,
    action: `condition.${condition}`,
    ...because(fleet, decision),
    patch: { condition, conditionDetail, metadata: { ...task.metadata, excusedMs: excusedMs(task, fleet.clock()) } },
    ...(condition === "needs_input" ? { notify: "needs_input" as const, told: reason } : {}),
  });
}

function hold({ fleet, task }: Case, decision: Decision): Promise<Task> {
  const text = decision.reason.replaceAll("_", " ");
  return moveTask(fleet, {
    task,
    action: "task.held",
    ...because(fleet, decision),
    told: text,
    notify: "needs_input",
    patch: { condition: "needs_input", conditionDetail: { text, held: true } },
  });
}

/** The agent's commits are on its host only: that host pushes them and opens the pull request; others leave it to it. */
async function publish(about: Case): Promise<Task | undefined> {
  const { fleet, task, known } = about;
  if (!isMine(fleet, task)) return undefined;
  await fleet.faultPoint("publish:before", task.id);
  const published = await fleet.agents.publish({ taskId: task.id, expectedOld: known.facts.branch?.headSha ?? null });
  await fleet.faultPoint("publish:after", task.id);
  return openFor(about, published.sha);
}

/** Opens the pull request of this head, or moves the open one's; then the task itself is patched, so that the look goes on. */
async function openFor({ fleet, task, known }: Case, headSha: string): Promise<Task | undefined> {
  const { repository } = known;
  if (!repository) return undefined;
  const { mergeBase } = await fleet.forge.compare(repository, task.baseBranch, headSha);
  // Together with the task's own row: whoever looks with old eyes, at a branch that is merged by now, opens no second one.
  const moved = await fleet.store.transaction(WORKER, async (tx) => {
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
      transitionOf(fleet, {
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
  { fleet, task, known }: Case,
  { mergeSha }: Extract<Decision, { do: "merged" }>,
): Promise<Task> {
  const { pullRequest } = known;
  if (pullRequest?.state === "open") {
    const end = { state: "merged" as const, ...(mergeSha ? { mergeSha } : {}) };
    await fleet.store.transaction(WORKER, (tx) => closePullRequest(tx, pullRequest, end));
  }
  return moveTask(fleet, { task, to: "merged", actor: fleet.worker, action: "task.merged", told: "merged outside" });
}
