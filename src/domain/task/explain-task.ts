/** Why a task is where it is, and what will happen next: two sentences for people, derived from the row alone. */
import { Cap, firstReachedCap, describeReset, describeCap } from "../budget.ts";
import { killSwitchOnRow, describeHold } from "./kill-switch.ts";
import { RETRY_RULES } from "./retry.ts";
import { isTerminal, type Condition, type Task, type TaskStatus } from "./task.ts";

export interface TaskExplanation {
  readonly why: string;
  readonly next: string;
}

type ExplainedTask = Pick<
  Task,
  "status" | "condition" | "conditionDetail" | "host" | "attempt" | "retryCount" | "maxRetries" | "dueAt" | "ciStatus"
> &
  Pick<Task, "failureContext" | "timeoutMinutes" | "prNumber" | "budget" | "spend">;

export function explainTask(task: ExplainedTask): TaskExplanation {
  const explainCondition = isTerminal(task.status) ? undefined : CONDITION_EXPLANATIONS[task.condition];
  return explainCondition ? explainCondition(task) : STATUS_EXPLANATIONS[task.status](task);
}

const prLabel = ({ prNumber }: ExplainedTask) => (prNumber === null ? "the pull request" : `pull request #${prNumber}`);
const retriesLeft = ({ maxRetries, retryCount }: ExplainedTask) => Math.max(0, maxRetries - retryCount);
const failureReason = ({ failureContext }: ExplainedTask) =>
  failureContext?.reason.replaceAll("_", " ") ?? "no reason was recorded";
const conditionText = (task: ExplainedTask, key: string): string => {
  const value = task.conditionDetail?.[key];
  return typeof value === "string" ? value : "";
};

/** A condition other than `ok` explains more than the status does. */
const CONDITION_EXPLANATIONS: Readonly<Partial<Record<Condition, (task: ExplainedTask) => TaskExplanation>>> = {
  needs_input: (task) => {
    const person = task.status === "failed" ? adviceForPerson(task) : undefined;
    if (person) return { why: STATUS_EXPLANATIONS.failed(task).why, next: person };
    return {
      why: `The agent asks: ${conditionText(task, "text") || "something; look at its log"}`,
      next: "It waits for your answer. That counts neither as a stall nor as a retry.",
    };
  },
  waiting_quota: (task) => ({
    why: "The model provider's limit is reached.",
    next: `It goes on by itself ${conditionText(task, "until") ? `at ${conditionText(task, "until")}` : "when the limit is lifted"}; no retry is spent.`,
  }),
  waiting_slot: (task) => explainWaiting(task),
  operator_attached: () => ({
    why: "An operator has taken over the agent's terminal.",
    next: "Nothing judges it until the operator leaves.",
  }),
  paused: (task) => {
    const held = killSwitchOnRow(task);
    if (!held) return { why: "The agent is frozen.", next: "Nothing happens until it is resumed." };
    return {
      why: `Stopped on purpose by ${held.estop.by}: ${describeHold(held.estop)}.`,
      next: "It goes on when that is released (fleet estop); the time until then does not count.",
    };
  },
  doubtful: () => ({
    why: "What the host reports is contradictory, or could not be read.",
    next: "A second, independent look decides; until then nothing is concluded.",
  }),
};

/** For a slot of a host, for one of the operator's own, or for a budget. */
function explainWaiting({ conditionDetail }: ExplainedTask): TaskExplanation {
  const cap = Cap.safeParse(conditionDetail?.["budget"]).data;
  if (cap) return { why: `${describeCap(cap)}.`, next: `It starts ${describeReset(cap)}.` };
  const limit = conditionDetail?.["limit"];
  if (typeof limit === "number") {
    return {
      why: `Its operator's own limit of ${limit} at a time is reached.`,
      next: "It is tried again as soon as one of theirs ends.",
    };
  }
  return { why: "No host has a free slot.", next: "It starts as soon as one has, in its tenant's turn." };
}

const STATUS_EXPLANATIONS: Readonly<Record<TaskStatus, (task: ExplainedTask) => TaskExplanation>> = {
  proposed: () => ({ why: "It is admitted and waits for a host.", next: "The next host with a free slot takes it." }),
  spawning: ({ host }) => ({
    why: `The working copy is prepared and the agent started${host ? ` on ${host}` : ""}.`,
    next: "With the agent's first heartbeat it is running.",
  }),
  running: ({ host, timeoutMinutes }) => ({
    why: `The agent works${host ? ` on ${host}` : ""}.`,
    next: `A pull request is looked for; after ${timeoutMinutes} minutes the attempt is ended.`,
  }),
  pr_created: (task) => ({
    why: `There is ${prLabel(task)}; CI is ${task.ciStatus}.`,
    next:
      task.ciStatus === "failing"
        ? "The attempt fails and is retried with the CI log."
        : "When CI passes, the reviews start.",
  }),
  reviewing: (task) => ({
    why: `Reviewers read ${prLabel(task)}.`,
    next: "All approve: ready. Anyone asks for changes: rejected, and retried with the findings.",
  }),
  ready: (task) => ({
    why: `The definition of done holds for ${prLabel(task)}.`,
    next: "It waits for you: merge it, or reject it.",
  }),
  merged: (task) => ({ why: `${capitalize(prLabel(task))} is merged.`, next: "Nothing; it is done." }),
  rejected: (task) => ({ why: "A reviewer asks for changes.", next: nextAfterFailure(task) }),
  failed: (task) => ({
    why: `Attempt ${task.attempt + 1} failed: ${failureReason(task)}.`,
    next: nextAfterFailure(task),
  }),
  retrying: (task) => ({
    why: `The last attempt did not hold: ${failureReason(task)}.`,
    next: `Attempt ${task.attempt + 1} starts${task.dueAt ? ` about ${task.dueAt.toISOString()}` : " after a pause"}, told what was learnt.`,
  }),
  abandoned: (task) => ({
    why: `The retries are used up (${task.retryCount} of ${task.maxRetries}): ${failureReason(task)}.`,
    next: "Nothing by itself. Its work is kept until you remove it.",
  }),
  cancelled: () => ({ why: "An operator stopped it.", next: "Nothing; a cancelled task is never retried." }),
};

/** Of what nobody tries again by itself: what would help. */
function adviceForPerson({ failureContext, budget, spend }: ExplainedTask): string | undefined {
  if (firstReachedCap(budget, spend)) {
    return (
      "It waits for you: its own budget is used up, and stays as it is. Ask for a new task with a larger one " +
      "(fleet spawn --max-tokens, --max-cost, --max-minutes), or remove it (fleet rm)."
    );
  }
  if (failureContext?.class === "budget_exceeded") {
    return "It waits for you: when an admin has raised what is used up (fleet budget set), try it again (fleet retry).";
  }
  if (failureContext && RETRY_RULES[failureContext.class].needsPerson) {
    return "It waits for you: it is not tried again by itself (fleet retry).";
  }
  return undefined;
}

function nextAfterFailure(task: ExplainedTask): string {
  const person = adviceForPerson(task);
  if (person) return person;
  const more = retriesLeft(task);
  if (more === 0) return "No retry is left: it will be abandoned.";
  return `It is retried (${more} ${more === 1 ? "retry" : "retries"} left) as soon as a slot is free.`;
}

function capitalize(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
