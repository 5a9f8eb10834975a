/** The task: its states, the ways between them, its shape, and what may be asked for. */
import { z } from "zod";
import { InvalidTransitionError } from "../errors.ts";

export const TaskStatus = z.enum([
  "proposed",
  "spawning",
  "running",
  "pr_created",
  "reviewing",
  "ready",
  "merged",
  "rejected",
  "failed",
  "retrying",
  "abandoned",
  "cancelled",
]);
export type TaskStatus = z.infer<typeof TaskStatus>;

/** The only ways between states. The database guard (0001) and docs/states.md are held to this table by tests. */
export const VALID_TRANSITIONS: Readonly<Record<TaskStatus, readonly TaskStatus[]>> = {
  proposed: ["spawning", "cancelled"],
  spawning: ["running", "failed", "cancelled"],
  running: ["pr_created", "failed", "cancelled"],
  pr_created: ["reviewing", "failed", "cancelled", "merged"],
  reviewing: ["ready", "rejected", "failed", "cancelled", "merged"],
  ready: ["merged", "rejected", "cancelled"],
  merged: [],
  rejected: ["retrying", "abandoned", "cancelled"],
  failed: ["retrying", "abandoned", "cancelled"],
  retrying: ["spawning", "abandoned", "cancelled"],
  abandoned: [],
  cancelled: [],
};

/** The states with no way out. Derived, so that it cannot disagree with the table above. */
export const TERMINAL_STATUSES = TaskStatus.options.filter((status) => VALID_TRANSITIONS[status].length === 0);

/** In these a task holds one of its operator's slots. */
export const SLOT_HOLDING_STATUSES = [
  "proposed",
  "spawning",
  "running",
  "pr_created",
  "reviewing",
  "retrying",
] as const satisfies readonly TaskStatus[];

export function isTerminal(status: TaskStatus): boolean {
  return VALID_TRANSITIONS[status].length === 0;
}

export function assertTransition(taskId: string, from: TaskStatus, to: TaskStatus): void {
  const allowed = VALID_TRANSITIONS[from];
  if (!allowed.includes(to)) throw new InvalidTransitionError(taskId, from, to, allowed);
}

/** Orthogonal to the status: what a live task is waiting for, or why nobody should judge it yet. */
export const Condition = z.enum([
  "ok",
  "needs_input",
  "waiting_quota",
  "waiting_slot",
  "operator_attached",
  "paused",
  "doubtful",
]);
export type Condition = z.infer<typeof Condition>;

/** Time in these conditions counts neither as a stall nor towards the timeout. `fleet_record_usage` in SQL has the same list. */
export const EXCUSED_CONDITIONS: ReadonlySet<Condition> = new Set<Condition>([
  "needs_input",
  "waiting_quota",
  "operator_attached",
  "paused",
]);

export const AgentType = z.enum(["claude_code", "codex", "gemini", "opencode", "command", "stub"]);
export type AgentType = z.infer<typeof AgentType>;

export const TaskType = z.enum(["bug_fix", "feature", "refactor", "review", "docs"]);
export type TaskType = z.infer<typeof TaskType>;

export const CiStatus = z.enum(["none", "pending", "passing", "failing"]);
export type CiStatus = z.infer<typeof CiStatus>;

/** Why an attempt failed; each class has its own retry rule (retry.ts). */
export const FailureClass = z.enum([
  "agent_error",
  "environment_error",
  "provider_limit",
  "provider_outage",
  "policy_refusal",
  "review_rejected",
  "ci_failed",
  "ci_flake",
  "host_lost",
  "budget_exceeded",
  "no_evidence",
  "timeout",
  "stall",
]);
export type FailureClass = z.infer<typeof FailureClass>;

/** What the next attempt is told about this one. Everything in it is untrusted text, already redacted and capped. */
export const FailureContext = z.object({
  class: FailureClass,
  /** A word for machines: stalled, no_changes, host_lost, conductor_restart, … */
  reason: z.string().max(200),
  summary: z.string().max(2_000),
  attempt: z.int().min(0),
  exitCode: z.int().nullable().optional(),
  signal: z.string().max(20).nullable().optional(),
  outOfMemory: z.boolean().optional(),
  diff: z.string().max(4_000).optional(),
  filesChanged: z.array(z.string().max(500)).max(200).optional(),
  outputTail: z.string().max(8_000).optional(),
  ciLog: z.string().max(8_000).optional(),
  findings: z.array(z.record(z.string(), z.unknown())).max(200).optional(),
  durationMs: z.int().min(0).optional(),
  /** Same signature twice means repeating would fail the same way. */
  signature: z.string().max(64),
});
export type FailureContext = z.infer<typeof FailureContext>;

/** The steps of one attempt's start, each with its compensation. */
export const SpawnStep = z.enum(["claim", "workspace", "install", "prompt", "process", "heartbeat"]);
export type SpawnStep = z.infer<typeof SpawnStep>;

/** Saga state: which steps of the current attempt are done, kept on the row so that a crash can be finished or undone. */
export const Saga = z.object({
  done: z.array(SpawnStep),
  startSha: z.string().optional(),
  steps: z.array(z.object({ step: SpawnStep, ms: z.number(), note: z.string().optional() })).optional(),
});
export type Saga = z.infer<typeof Saga>;

export const TaskMetadata = z.looseObject({
  saga: Saga.optional(),
  /** How often the work was taken over because a worker died; never counted against max_retries. */
  crashes: z.int().min(0).optional(),
  workspaceKind: z.enum(["worktree", "clone"]).optional(),
  /** For agent type `command`: the program and its arguments. For `stub`: the script it plays. */
  command: z.array(z.string()).optional(),
  script: z.string().optional(),
  acceptance: z.string().optional(),
  /** Why the working copy of the ended task was not removed. */
  workspaceKept: z.string().optional(),
  cleanUpTries: z.int().min(0).optional(),
  reviewRound: z.int().optional(),
  /** The head the newest round is about, also when nobody reviews. */
  reviewedHead: z.string().optional(),
  /** Figures of the budget that people were warned about. */
  budgetWarned: z.array(z.string()).optional(),
  /** Time of this attempt that counts neither as stall nor towards its time-out. */
  excusedMs: z.number().min(0).optional(),
});
export type TaskMetadata = z.infer<typeof TaskMetadata>;

const Count = z.int().min(0);

export const Task = z.object({
  id: z.uuid(),
  tenantId: z.string(),
  operatorId: z.string(),
  host: z.string().nullable(),
  agentType: AgentType,
  model: z.string().nullable(),
  routingReason: z.string().nullable(),
  taskType: TaskType,
  title: z.string(),
  description: z.string(),
  repository: z.string(),
  baseBranch: z.string(),
  branch: z.string(),
  workspacePath: z.string().nullable(),
  runtime: z.enum(["tmux", "container"]),
  containerId: z.string().nullable(),
  tmuxSession: z.string().nullable(),
  status: TaskStatus,
  condition: Condition,
  /** Text and choices of a question, reset time of a quota, evidence of a doubt. */
  conditionDetail: z.record(z.string(), z.unknown()).nullable(),
  conditionSince: z.date().nullable(),
  version: Count,
  /** Fence of work: a job or a write that carries an older epoch is refused. Rises with every state change and takeover. */
  epoch: Count,
  attempt: Count,
  /** Names one dispatch of one attempt; everything the agent leaves outside carries it. */
  dispatchId: z.uuid().nullable(),
  /** Until when the worker that took the task may work on it (database time). */
  leaseUntil: z.date().nullable(),
  /** The queue whose job must move this task on, and since when it may be asked again; null when only facts can. */
  waitingFor: z.string().nullable(),
  dueAt: z.date().nullable(),
  prNumber: z.int().nullable(),
  prUrl: z.string().nullable(),
  headSha: z.string().nullable(),
  ciStatus: CiStatus,
  reviewStatus: z.record(z.string(), z.unknown()).nullable(),
  doneStatus: z.record(z.string(), z.unknown()).nullable(),
  retryCount: Count,
  maxRetries: Count,
  timeoutMinutes: z.int().min(1),
  budget: z.record(z.string(), z.unknown()),
  spend: z.record(z.string(), z.unknown()),
  contextHash: z.string().nullable(),
  failureContext: FailureContext.nullable(),
  metadata: TaskMetadata,
  idempotencyKey: z.string().nullable(),
  auditHead: z.string(),
  auditSeq: Count,
  orderId: z.uuid().nullable(),
  traceId: z.string().nullable(),
  spawnedAt: z.date().nullable(),
  completedAt: z.date().nullable(),
  createdAt: z.date(),
  updatedAt: z.date(),
});
export type Task = z.infer<typeof Task>;

/** The first eight hex digits after the time part of a uuid v7 differ between tasks of one millisecond: use the random tail. */
export function shortId(taskId: string): string {
  return taskId.replaceAll("-", "").slice(-8);
}
