/** What machines are told: CloudEvents 1.0 about tasks. Sent at least once; `id` tells copies apart. */
import { z } from "zod";
import { type Task, TaskStatus } from "./task.ts";

/** Events with a name of their own, beside the one per transition. */
export const NamedEvent = z.enum([
  "AGENT_SPAWNED",
  "AGENT_COMPLETED",
  "AGENT_FAILED",
  "AGENT_RETRYING",
  "REPUTATION_UPDATED",
  "KNOWLEDGE_DRIFT",
  "FLEET_OVERLOAD",
  "GOVERNANCE_ALERT",
]);
export type NamedEvent = z.infer<typeof NamedEvent>;

export const TaskEventType = z.templateLiteral(["fleet.task.", TaskStatus]);
export type TaskEventType = z.infer<typeof TaskEventType>;

export const EVENT_MEANING: Readonly<Record<NamedEvent, string>> = {
  AGENT_SPAWNED: "An agent's first heartbeat was seen",
  AGENT_COMPLETED: "An agent delivered a pull request",
  AGENT_FAILED: "An attempt failed, or its result was rejected",
  AGENT_RETRYING: "A further attempt was admitted",
  REPUTATION_UPDATED: "The score of an agent type and model changed",
  KNOWLEDGE_DRIFT: "What is written about a product no longer fits it",
  FLEET_OVERLOAD: "The fleet is above its safe load",
  GOVERNANCE_ALERT: "An invariant or a policy was broken",
};

/** What a task's arrival in a state is called besides. */
export const NAMED_ON_ARRIVAL: Readonly<Partial<Record<TaskStatus, NamedEvent>>> = {
  running: "AGENT_SPAWNED",
  pr_created: "AGENT_COMPLETED",
  failed: "AGENT_FAILED",
  rejected: "AGENT_FAILED",
  retrying: "AGENT_RETRYING",
};

export const TaskEventData = z.object({
  taskId: z.uuid(),
  operatorId: z.string(),
  /** Null for the event of a new task. */
  from: TaskStatus.nullable(),
  to: TaskStatus,
  actor: z.string(),
  attempt: z.int().min(0),
  version: z.int().min(0),
  branch: z.string(),
  prUrl: z.string().nullable(),
  reason: z.string().max(200).nullable(),
});
export type TaskEventData = z.infer<typeof TaskEventData>;

/** `tenantid` is an extension attribute: CloudEvents allows lower-case letters and digits in such names only. */
export const TaskEvent = z.object({
  specversion: z.literal("1.0"),
  id: z.string().min(1).max(200),
  source: z.string().min(1),
  type: z.union([NamedEvent, TaskEventType]),
  subject: z.string().min(1),
  time: z.iso.datetime(),
  datacontenttype: z.literal("application/json"),
  tenantid: z.string(),
  data: TaskEventData,
});
export type TaskEvent = z.infer<typeof TaskEvent>;

export interface TaskChange {
  /** The task as it is after the change. */
  readonly task: Pick<Task, "id" | "tenantId" | "operatorId" | "attempt" | "version" | "branch" | "prUrl">;
  readonly from: TaskStatus | null;
  readonly to: TaskStatus;
  readonly actor: string;
  readonly at: Date;
  readonly reason?: string | null | undefined;
}

/** One event for the transition, and a named one when the state has a name. Ids follow from the change: told twice, equal. */
export function taskEvents(change: TaskChange): TaskEvent[] {
  const named = NAMED_ON_ARRIVAL[change.to];
  const arrival = taskEvent(`fleet.task.${change.to}`, change);
  return named ? [arrival, taskEvent(named, change)] : [arrival];
}

export function taskEvent(type: TaskEvent["type"], change: TaskChange): TaskEvent {
  const { task, from, to, actor, at, reason = null } = change;
  return {
    specversion: "1.0",
    id: `${task.id}.${task.version}.${type}`,
    source: "/fleetwright/tasks",
    type,
    subject: task.id,
    time: at.toISOString(),
    datacontenttype: "application/json",
    tenantid: task.tenantId,
    data: {
      taskId: task.id,
      operatorId: task.operatorId,
      from,
      to,
      actor,
      attempt: task.attempt,
      version: task.version,
      branch: task.branch,
      prUrl: task.prUrl,
      reason: reason === null ? null : reason.slice(0, 200).toWellFormed(),
    },
  };
}
