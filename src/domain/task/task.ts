/** The task: its statuses, the transitions between them, and the shape of its row. */
import { z } from "zod";
import { InvalidTransitionError } from "../errors.ts";
import { AGENT_TYPES, namesOf } from "./agent-types.ts";

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

/** The only ways between states. The database guard (store/functions/guard_status.sql) and docs/states.md are held to this table by tests. */
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

/** The statuses without outgoing transitions, derived so that they cannot disagree with the table above. */
export const TERMINAL_STATUSES = TaskStatus.options.filter((status) => VALID_TRANSITIONS[status].length === 0);

/** In these statuses a task holds one of its operator's slots. */
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

/** What a live task is waiting for, or why its state is unclear. It is independent of the status. */
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

export const AgentType = z.enum(namesOf(AGENT_TYPES));
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

/** What the next attempt learns about this failure. Its texts are untrusted, already redacted and truncated. */
export const FailureContext = z.object({
  class: FailureClass,
  /** A machine-readable word: stalled, no_changes, host_lost, conductor_restart, … */
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
  /** Two failures with the same signature mean that another identical attempt would fail too. */
  signature: z.string().max(64),
});
export type FailureContext = z.infer<typeof FailureContext>;

/** The steps of starting an attempt. Each one has a compensation. */
export const SpawnStep = z.enum(["claim", "workspace", "install", "prompt", "process", "heartbeat"]);
export type SpawnStep = z.infer<typeof SpawnStep>;

/** The saga's state: which steps of the current attempt are done. It is stored in the row, so that another worker can finish or undo them after a crash. */
export const Saga = z.object({
  done: z.array(SpawnStep),
  startSha: z.string().optional(),
  steps: z.array(z.object({ step: SpawnStep, ms: z.number(), note: z.string().optional() })).optional(),
});
export type Saga = z.infer<typeof Saga>;

export const TaskMetadata = z.looseObject({
  saga: Saga.optional(),
  /** How often another worker took over because one died; this never counts against max_retries. */
  crashes: z.int().min(0).optional(),
  workspaceKind: z.enum(["worktree", "clone"]).optional(),
  /** For agent type `command`: the program and its arguments. */
  command: z.array(z.string()).optional(),
  /** For agent type `stub`: the script it plays. */
  script: z.string().optional(),
  acceptance: z.string().optional(),
  /** Why the working copy of the ended task was not removed. */
  workspaceKept: z.string().optional(),
  cleanUpTries: z.int().min(0).optional(),
  reviewRound: z.int().optional(),
  /** The head of the newest review round, also when there are no reviewers. */
  reviewedHead: z.string().optional(),
  /** The limits of the budget for which a warning was sent. */
  budgetWarned: z.array(z.string()).optional(),
  /** Time of this attempt that counts neither as a stall nor towards its time-out. */
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
  runtime: z.literal("tmux"),
  tmuxSession: z.string().nullable(),
  status: TaskStatus,
  condition: Condition,
  /** Depends on the condition: a question with its choices, the reset time of a quota, or the evidence of a contradiction. */
  conditionDetail: z.record(z.string(), z.unknown()).nullable(),
  conditionSince: z.date().nullable(),
  version: Count,
  /** The fencing token: a job or write with an older epoch is refused. It increases with every transition and takeover. */
  epoch: Count,
  attempt: Count,
  /** Identifies one dispatch of one attempt; everything the agent creates elsewhere carries it. */
  dispatchId: z.uuid().nullable(),
  /** Until when the worker that claimed the task may work on it (database time). */
  leaseUntil: z.date().nullable(),
  /** The queue whose job advances this task; null when only observed facts do. `dueAt` is when that job may run. */
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
  traceId: z.string().nullable(),
  spawnedAt: z.date().nullable(),
  completedAt: z.date().nullable(),
  createdAt: z.date(),
  updatedAt: z.date(),
});
export type Task = z.infer<typeof Task>;

/** Returns the last eight hex digits of the id: in a UUID v7 these are random, while the first ones encode the time. */
export function shortId(taskId: string): string {
  return taskId.replaceAll("-", "").slice(-8);
}
