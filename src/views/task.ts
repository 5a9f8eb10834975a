/** A task as the API returns it and `--json` prints it. No secrets, and no prompt beyond the description. */
import { z } from "zod";
import {
  AgentType,
  CiStatus,
  Condition,
  FailureClass,
  shortId,
  TaskStatus,
  TaskType,
  type Task,
} from "../domain/task/task.ts";
import { redactUrl } from "../domain/text/redact-url.ts";
import { toIsoOrNull } from "./fields.ts";

const Moment = z.iso.datetime();

export const Spend = z
  .object({ tokens: z.number().nullable(), cost: z.number().nullable(), minutes: z.number().nullable() })
  .meta({ id: "Spend", description: "What the task has used so far; cost in US dollars; null: not reported" });
export type Spend = z.infer<typeof Spend>;

export const FailureSummary = z
  .object({
    class: FailureClass,
    reason: z.string(),
    summary: z.string(),
    attempt: z.int(),
    exitCode: z.int().nullable(),
    signal: z.string().nullable(),
  })
  .meta({ id: "FailureSummary", description: "How the last failed attempt ended" });

export const TaskView = z
  .object({
    id: z.uuid(),
    shortId: z.string(),
    tenantId: z.string(),
    operatorId: z.string(),
    title: z.string(),
    description: z.string(),
    repository: z.string(),
    baseBranch: z.string(),
    branch: z.string(),
    agentType: AgentType,
    model: z.string().nullable(),
    routingReason: z.string().nullable(),
    taskType: TaskType,
    status: TaskStatus,
    condition: Condition,
    conditionDetail: z.record(z.string(), z.unknown()).nullable(),
    conditionSince: Moment.nullable(),
    waitingFor: z.string().nullable(),
    dueAt: Moment.nullable(),
    host: z.string().nullable(),
    runtime: z.literal("tmux"),
    session: z.string().nullable().meta({ description: "The tmux session that runs the agent" }),
    version: z.int(),
    attempt: z.int(),
    retryCount: z.int(),
    maxRetries: z.int(),
    timeoutMinutes: z.int(),
    prNumber: z.int().nullable(),
    prUrl: z.string().nullable(),
    headSha: z.string().nullable(),
    ciStatus: CiStatus,
    failure: FailureSummary.nullable(),
    spend: Spend,
    budget: Spend.meta({ description: "What all its attempts together may use; null: no limit" }),
    createdAt: Moment,
    spawnedAt: Moment.nullable(),
    completedAt: Moment.nullable(),
    updatedAt: Moment,
  })
  .meta({ id: "Task" });
export type TaskView = z.infer<typeof TaskView>;

export function viewTask(task: Task): TaskView {
  return {
    id: task.id,
    shortId: shortId(task.id),
    tenantId: task.tenantId,
    operatorId: task.operatorId,
    title: task.title,
    description: task.description,
    repository: redactUrl(task.repository),
    baseBranch: task.baseBranch,
    branch: task.branch,
    agentType: task.agentType,
    model: task.model,
    routingReason: task.routingReason,
    taskType: task.taskType,
    status: task.status,
    condition: task.condition,
    conditionDetail: task.conditionDetail,
    conditionSince: toIsoOrNull(task.conditionSince),
    waitingFor: task.waitingFor,
    dueAt: toIsoOrNull(task.dueAt),
    host: task.host,
    runtime: task.runtime,
    session: task.tmuxSession,
    version: task.version,
    attempt: task.attempt,
    retryCount: task.retryCount,
    maxRetries: task.maxRetries,
    timeoutMinutes: task.timeoutMinutes,
    prNumber: task.prNumber,
    prUrl: task.prUrl,
    headSha: task.headSha,
    ciStatus: task.ciStatus,
    failure: viewFailure(task.failureContext),
    spend: viewSpend(task.spend),
    budget: viewSpend(task.budget),
    createdAt: task.createdAt.toISOString(),
    spawnedAt: toIsoOrNull(task.spawnedAt),
    completedAt: toIsoOrNull(task.completedAt),
    updatedAt: task.updatedAt.toISOString(),
  };
}

export function viewFailure(failure: Task["failureContext"]): z.infer<typeof FailureSummary> | null {
  if (!failure) return null;
  const { reason, summary, attempt, exitCode = null, signal = null } = failure;
  return { class: failure.class, reason, summary, attempt, exitCode, signal };
}

export function viewSpend(spend: Readonly<Record<string, unknown>>): Spend {
  return {
    tokens: finiteOrNull(spend["tokens"]),
    cost: finiteOrNull(spend["cost"]),
    minutes: finiteOrNull(spend["minutes"]),
  };
}

function finiteOrNull(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/** A task that was just merged. */
export const MergedView = TaskView.extend({
  bringHome: z
    .string()
    .nullable()
    .meta({ description: "The command that brings the merge to your own checkout; null: it is there already" }),
}).meta({ id: "MergedTask" });

/** The body of stop, retry and merge. */
export const Reason = z.strictObject({
  reason: z.string().trim().min(1).max(2_000).optional().meta({ description: "Recorded in the audit log" }),
});
export const Rejection = z.strictObject({
  comment: z.string().trim().min(1).max(10_000).meta({ description: "What has to change; the next attempt gets it" }),
});

/** What removing a task did. */
export const Removed = z
  .object({
    id: z.uuid(),
    removed: z.array(z.string()).meta({ description: "What was removed: working copy, branch" }),
    snapshot: z.string().nullable().meta({ description: "Where unpushed work was saved before" }),
    restore: z.string().nullable().meta({ description: "The command that restores it" }),
  })
  .meta({ id: "Removed" });
