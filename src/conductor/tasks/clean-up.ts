/** Removing the working copy of a task that ended: unsaved work is saved first, and the audit log says how to restore it. */
import { closeAttempt, listAttempts } from "../../store/attempts.ts";
import { recordUsage } from "../../store/budgets.ts";
import type { Fleet } from "../fleet.ts";
import type { CleanupResult } from "../../agents/cleanup/cleanup.ts";
import type { Task } from "../../domain/task/task.ts";
import { applyTransition } from "./transition.ts";
import type { Attempt } from "../../domain/task/attempt.ts";

/** Records the final usage with the end of the attempt, since nothing is used after that. */
export async function closeWithUsage(fleet: Fleet, run: Pick<Attempt, "taskId" | "attempt">): Promise<void> {
  const usage = await fleet.agents.readUsage(run);
  await fleet.store.asSystem(async (tx) => {
    await closeAttempt(tx, run.taskId, run.attempt);
    await recordUsage(tx, [{ ...run, usage }]);
  });
}

/** The lock to hold while removing a working copy. */
export function cleanUpLock(taskId: string): string {
  return `clean-up/${taskId}`;
}

/** Stops the agent, saves work that exists nowhere else, removes the working copy, and audits how to restore it. */
export async function cleanUpTask(fleet: Fleet, task: Task): Promise<CleanupResult> {
  const attemptRef = { taskId: task.id, attempt: task.attempt };
  const attempts = await fleet.store.asSystem((tx) => listAttempts(tx, task.id));
  if (!attempts.some(({ attempt, closedAt }) => attempt === task.attempt && closedAt)) {
    await fleet.agents.stop(attemptRef);
    await closeWithUsage(fleet, attemptRef);
  }
  await fleet.faultPoint("cleanup:before", task.id);
  const cleaned = await fleet.agents.cleanUp(attemptRef);
  await fleet.faultPoint("cleanup:after", task.id);
  const { decision } = cleaned;
  const keepReason = decision.do === "keep" ? decision.reason : undefined;
  if (keepReason)
    fleet.log.warn({ event: "workspace.kept", taskId: task.id, reason: keepReason }, "working copy was kept");
  await applyTransition(fleet, {
    task,
    actor: fleet.worker,
    action: keepReason ? "workspace.kept" : "workspace.removed",
    detail: { ...cleaned },
    patch: keepReason ? { metadata: withKeepReason(task, keepReason) } : { workspacePath: null },
  });
  return cleaned;
}

/** The reason to keep it may pass (a process that is just ending): a few more tries are made, then a person decides. */
export function withKeepReason({ metadata }: Task, keepReason: string): Task["metadata"] {
  const tries = (metadata.cleanUpTries ?? 0) + 1;
  return { ...metadata, cleanUpTries: tries, ...(tries >= MAX_CLEAN_UPS ? { workspaceKept: keepReason } : {}) };
}

export const MAX_CLEAN_UPS = 5;
