/** Merging a ready task, or rejecting it: the final decision, by an operator or by policy. */
import { FleetError, InvalidTransitionError } from "../../domain/errors.ts";
import type { Operator } from "../../domain/operator.ts";
import { VALID_TRANSITIONS, type Task } from "../../domain/task/task.ts";
import { failTask } from "../tasks/fail.ts";
import type { Fleet } from "../fleet.ts";
import { recordMergeAsPush } from "../schedules/push.ts";
import { applyTransition } from "../tasks/transition.ts";
import { latestPullRequests, recordMerge } from "./pull-requests.ts";

export interface MergedTask {
  readonly task: Task;
  /** The command that brings it to the operator's own checkout; undefined when it is there. */
  readonly pullCommand: string | undefined;
}

/** One step from ready to merged. The forge's merge is idempotent, so that a repeated call completes one that crashed. */
export async function mergeTask(fleet: Fleet, by: Pick<Operator, "id">, task: Task): Promise<MergedTask> {
  if (task.status === "merged") return { task, pullCommand: undefined };
  if (task.status !== "ready")
    throw new InvalidTransitionError(task.id, task.status, "merged", VALID_TRANSITIONS[task.status]);
  const pullRequest = (await fleet.store.asSystem((tx) => latestPullRequests(tx, [task.id]))).get(task.id);
  if (!pullRequest) throw new FleetError("not-found", `Task ${task.id} has no pull request to merge.`);
  await fleet.faultPoint("merge:before", task.id);
  const forge = fleet.forges.of(task.repository);
  const result = await forge.merge(await forge.ensure(task.repository), {
    number: pullRequest.number,
    base: task.baseBranch,
    head: task.branch,
    // The pull request of a remote forge follows its branch; what may be merged is what was reviewed.
    expectedHead: task.metadata.reviewedHead ?? pullRequest.headSha,
    strategy: fleet.settings.pr.merge,
    title: task.title,
    body: `Fleet-Task: ${task.id}`,
  });
  await fleet.faultPoint("merge:after", task.id);
  await recordMerge(fleet, pullRequest, result.mergeSha);
  const merged = await applyTransition(fleet, {
    task,
    to: "merged",
    actor: by.id,
    action: "task.merged",
    detail: { mergeSha: result.mergeSha, already: result.already },
    message: `pull request #${pullRequest.number} into ${task.baseBranch}`,
  });
  await recordMergeAsPush(fleet, merged, result.mergeSha);
  return { task: merged, pullCommand: result.pullCommand };
}

/** ready → rejected; the comment goes into the prompt of the next attempt. */
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
