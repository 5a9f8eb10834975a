/** Failing a task: one transition records the failure, changes the status and schedules the retry. */
import { captureFailure, type FailureEvidence } from "../../domain/task/failure.ts";
import { retryDelayMs } from "../../domain/task/retry.ts";
import { stripTerminal } from "../../domain/text/terminal-text.ts";
import type { FailureContext, Task } from "../../domain/task/task.ts";
import type { Fleet } from "../fleet.ts";
import { applyTransition, type TransitionRequest } from "./transition.ts";

export interface TaskFailure extends Omit<FailureEvidence, "attempt"> {
  /** The operator who decided it; by default the worker did. */
  readonly actor?: string;
  /** Further facts for the audit entry, such as the evidence or the steps that were undone. */
  readonly detail?: Readonly<Record<string, unknown>>;
}

/** To `failed` (or `rejected`, after a review), with the failure context and a retry hint that is delayed by the backoff. */
export async function failTask(
  fleet: Fleet,
  task: Task,
  failure: TaskFailure,
  to: "failed" | "rejected" = "failed",
): Promise<Task> {
  return applyTransition(fleet, failureTransition(fleet, task, failure, to));
}

/** The same transition for a transaction with other rows. */
export function failureTransition(
  fleet: Fleet,
  task: Task,
  failure: TaskFailure,
  to: "failed" | "rejected",
): TransitionRequest {
  const failureContext = toFailureContext(fleet, task, failure);
  const delayMs = retryDelayMs({ attempt: task.retryCount, fleetUse: 0, random: fleet.random() }, fleet.settings.retry);
  return {
    task,
    to,
    actor: failure.actor ?? fleet.worker,
    action: `task.${to}`,
    message: failureContext.reason.replaceAll("_", " "),
    detail: {
      ...failure.detail,
      class: failureContext.class,
      reason: failureContext.reason,
      signature: failureContext.signature,
    },
    patch: { failureContext, condition: "ok", conditionDetail: null },
    next: { queue: "retry", delayMs },
  };
}

function toFailureContext(fleet: Fleet, task: Task, failure: TaskFailure): FailureContext {
  const redactor = fleet.redactor;
  return captureFailure(
    { attempt: task.attempt, ...failure },
    { workspacePath: task.workspacePath, clean: (text) => redactor.redact(stripTerminal(text)) },
  );
}
