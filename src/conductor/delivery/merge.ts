/** Merging what is ready, and rejecting it: the operator's last word, or the policy's. */
import { FleetError, InvalidTransitionError } from "../../domain/errors.ts";
import type { Operator } from "../../domain/operator.ts";
import { VALID_TRANSITIONS, type Task } from "../../domain/task/task.ts";
import type { MergeResult } from "../../forge/forge.ts";
import { closePullRequest, listPullRequests } from "../../store/pull-requests.ts";
import { failTask } from "../tasks/fail.ts";
import type { Fleet } from "../fleet.ts";
import { recordMergeAsPush } from "../schedules/push.ts";
import { applyTransition } from "../tasks/transition.ts";

export interface MergedTask {
  readonly task: Task;
  /** What brings it to the operator's own checkout; undefined when it is there. */
  readonly pullCommand: string | undefined;
}

/** One step from ready to merged. The forge's merge is idempotent, so a crash in between is finished by asking again. */
export async function mergeTask(fleet: Fleet, by: Operator, task: Task): Promise<MergedTask> {
  const { task: merged, pullCommand } = await mergePullRequest(fleet, task, by.id);
  return { task: merged, pullCommand };
}

export async function mergeReady(fleet: Fleet, task: Task, actor: string): Promise<Task> {
  return (await mergePullRequest(fleet, task, actor)).task;
}

async function mergePullRequest(fleet: Fleet, task: Task, actor: string): Promise<MergedTask> {
  if (task.status === "merged") return { task, pullCommand: undefined };
  if (task.status !== "ready")
    throw new InvalidTransitionError(task.id, task.status, "merged", VALID_TRANSITIONS[task.status]);
  const pullRequest = (await fleet.store.asSystem((tx) => listPullRequests(tx, [task.id]))).at(-1);
  if (!pullRequest) throw new FleetError("not-found", `Task ${task.id} has no pull request to merge.`);
  await fleet.faultPoint("merge:before", task.id);
  const result: MergeResult = await fleet.forge.merge(await fleet.forge.ensure(task.repository), {
    base: task.baseBranch,
    head: task.branch,
    expectedHead: pullRequest.headSha,
    strategy: fleet.settings.pr.merge,
    message: `${task.title} (#${pullRequest.number})\n\nFleet-Task: ${task.id}`,
  });
  await fleet.faultPoint("merge:after", task.id);
  await fleet.store.asSystem((tx) => closePullRequest(tx, pullRequest, { state: "merged", mergeSha: result.mergeSha }));
  const merged = await applyTransition(fleet, {
    task,
    to: "merged",
    actor,
    action: "task.merged",
    detail: { mergeSha: result.mergeSha, already: result.already },
    message: `pull request #${pullRequest.number} into ${task.baseBranch}`,
  });
  await recordMergeAsPush(fleet, merged, result.mergeSha);
  return { task: merged, pullCommand: result.pullCommand };
}

/** ready → rejected, with what is to be different: the next attempt is told. */
export async function rejectTask(fleet: Fleet, by: Operator, task: Task, comment: string): Promise<Task> {
  const findings = [
    { reviewer: by.id, file: null, line: null, severity: "high" as const, message: comment, suggestion: null },
  ];
  return failTask(
    fleet,
    task,
    { class: "review_rejected", reason: "rejected_by_operator", summary: comment, findings, actor: by.id },
    "rejected",
  );
}
