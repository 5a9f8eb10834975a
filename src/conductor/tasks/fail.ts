/** Failing a task: the failure is captured, the task moved, and its retry asked for, in one transition. */
import { captureFailure, type FailureEvidence } from "../../domain/task/failure.ts";
import { retryDelayMs } from "../../domain/task/retry.ts";
import { stripTerminal } from "../../domain/text/terminal-text.ts";
import type { FailureContext, Task } from "../../domain/task/task.ts";
import type { Fleet } from "../fleet.ts";
import { masksOf } from "../redactor.ts";
import { moveTask, type Move } from "./transition.ts";

export interface Evidence extends Omit<FailureEvidence, "attempt"> {
  /** Who decided it, when that was a person. */
  readonly actor?: string;
  /** What else belongs into the audit entry: what was seen, what was undone. */
  readonly detail?: Readonly<Record<string, unknown>>;
}

/** To `failed` (or, by reviewers, `rejected`), with what was learnt and the retry's hint, delayed by the backoff. */
export async function failTask(
  fleet: Fleet,
  task: Task,
  evidence: Evidence,
  to: "failed" | "rejected" = "failed",
): Promise<Task> {
  return moveTask(fleet, failingMove(fleet, task, evidence, to));
}

/** The same as a move to be, for a transaction with other rows. */
export function failingMove(fleet: Fleet, task: Task, evidence: Evidence, to: "failed" | "rejected"): Move {
  const failureContext = contextOf(fleet, task, evidence);
  const delayMs = retryDelayMs({ attempt: task.retryCount, fleetUse: 0, random: fleet.random() }, fleet.settings.retry);
  return {
    task,
    to,
    actor: evidence.actor ?? fleet.worker,
    action: `task.${to}`,
    told: failureContext.reason.replaceAll("_", " "),
    detail: {
      ...evidence.detail,
      class: failureContext.class,
      reason: failureContext.reason,
      signature: failureContext.signature,
    },
    patch: { failureContext, condition: "ok", conditionDetail: null },
    next: { queue: "retry", delayMs },
  };
}

function contextOf(fleet: Fleet, task: Task, evidence: Evidence): FailureContext {
  const masks = masksOf(fleet);
  return captureFailure(
    { attempt: task.attempt, ...evidence },
    { workspacePath: task.workspacePath, clean: (text) => masks.redact(stripTerminal(text)) },
  );
}
