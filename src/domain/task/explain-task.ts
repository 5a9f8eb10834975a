/** Explains why a task is in its state and what happens next, in two sentences that are derived from the row alone. */
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

/** A condition other than `ok` explains more than the status, so it takes precedence. */
const CONDITION_EXPLANATIONS: Readonly<Partial<Record<Condition, (task: ExplainedTask) => TaskExplanation>>> = {
  needs_input: (task) => {
    const person = task.status === "failed" ? adviceForPerson(task) : undefined;
    if (person) return { why: STATUS_EXPLANATIONS.failed(task).why, next: person };
    return {
      why: `The agent asks: ${conditionText(task, "text") || "see its log (fleet logs)"}`,
      next: "It waits for your answer. The wait counts neither as a stall nor as a retry.",
    };
  },
  waiting_quota: (task) => ({
    why: "The model provider's limit is reached.",
    next: `It resumes automatically ${conditionText(task, "until") ? `at ${conditionText(task, "until")}` : "when the limit is lifted"}; this uses no retry.`,
  }),
  waiting_slot: (task) => explainWaiting(task),
  operator_attached: () => ({
    why: "An operator has taken over the agent's terminal.",
    next: "Stalls and time-outs are not checked until the operator detaches.",
  }),
  paused: (task) => {
    const held = killSwitchOnRow(task);
    if (!held) return { why: "The agent is frozen.", next: "Nothing happens until it is resumed." };
    return {
      why: `A kill switch set by ${held.estop.by} holds it: ${describeHold(held.estop)}.`,
      next: "It continues when the switch is released (fleet estop); the time until then does not count.",
    };
  },
  doubtful: () => ({
    why: "What the host reports is contradictory or unreadable.",
    next: "The next check decides; until then nothing is concluded.",
  }),
};

/** Explains a wait for a slot of a host, for a slot of the operator, or for a budget. */
function explainWaiting({ conditionDetail }: ExplainedTask): TaskExplanation {
  const cap = Cap.safeParse(conditionDetail?.["budget"]).data;
  if (cap) return { why: `${describeCap(cap)}.`, next: `It starts ${describeReset(cap)}.` };
  const limit = conditionDetail?.["limit"];
  if (typeof limit === "number") {
    return {
      why: `Its operator's limit of ${limit} concurrent tasks is reached.`,
      next: "It is tried again as soon as one of those tasks ends.",
    };
  }
  return { why: "No host has a free slot.", next: "It starts when one has and it is its tenant's turn." };
}

const STATUS_EXPLANATIONS: Readonly<Record<TaskStatus, (task: ExplainedTask) => TaskExplanation>> = {
  proposed: () => ({ why: "It is admitted and waits for a host.", next: "The next host with a free slot starts it." }),
  spawning: ({ host }) => ({
    why: `The working copy is being prepared and the agent started${host ? ` on ${host}` : ""}.`,
    next: "It is running after the agent's first heartbeat.",
  }),
  running: ({ host, timeoutMinutes }) => ({
    why: `The agent is working${host ? ` on ${host}` : ""}.`,
    next: `It continues until there is a pull request, for at most ${timeoutMinutes} minutes.`,
  }),
  pr_created: (task) => ({
    why: `There is ${prLabel(task)}; CI is ${task.ciStatus}.`,
    next:
      task.ciStatus === "failing"
        ? "The attempt fails and is retried with the CI log."
        : "When CI passes, the reviews start.",
  }),
  reviewing: (task) => ({
    why: `${capitalize(prLabel(task))} is being reviewed.`,
    next: "If all approve, it is ready. If one requests changes, it is rejected and retried with the findings.",
  }),
  ready: (task) => ({
    why: `${capitalize(prLabel(task))} meets the definition of done.`,
    next: "It waits for you: merge it, or reject it.",
  }),
  merged: (task) => ({ why: `${capitalize(prLabel(task))} is merged.`, next: "Nothing; it is done." }),
  rejected: (task) => ({ why: "A reviewer requests changes.", next: nextAfterFailure(task) }),
  failed: (task) => ({
    why: `Attempt ${task.attempt + 1} failed: ${failureReason(task)}.`,
    next: nextAfterFailure(task),
  }),
  retrying: (task) => ({
    why: `The last attempt failed: ${failureReason(task)}.`,
    next: `Attempt ${task.attempt + 1} starts${task.dueAt ? ` at about ${task.dueAt.toISOString()}` : " after a delay"}, with what the last one showed.`,
  }),
  abandoned: (task) => ({
    why: `The retries are used up (${task.retryCount} of ${task.maxRetries}): ${failureReason(task)}.`,
    next: "Nothing happens automatically. Its work is kept until you remove it.",
  }),
  cancelled: () => ({ why: "An operator stopped it.", next: "Nothing; a cancelled task is never retried." }),
};

/** Tells what a person can do about a failure that is not retried automatically; undefined when it is retried. */
function adviceForPerson({ failureContext, budget, spend }: ExplainedTask): string | undefined {
  if (firstReachedCap(budget, spend)) {
    return (
      "It waits for you: its own budget is used up and cannot be raised. Create a new task with a larger one " +
      "(fleet spawn --max-tokens, --max-cost, --max-minutes), or remove it (fleet rm)."
    );
  }
  if (failureContext?.class === "budget_exceeded") {
    return "It waits for you: after an admin has raised the budget (fleet budget set), retry it (fleet retry).";
  }
  if (failureContext && RETRY_RULES[failureContext.class].needsPerson) {
    return "It waits for you: it is not retried automatically (fleet retry).";
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
