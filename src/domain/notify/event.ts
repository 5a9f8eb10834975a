/** Events for machines: CloudEvents 1.0 about tasks and work orders. They are sent at least once; consumers deduplicate by `id`. */
import { z } from "zod";
import { Intent, OrderStatus } from "../orders/order.ts";
import { type Task, TaskStatus } from "../task/task.ts";

/** Events with a name of their own, in addition to the event of each transition. */
export const NamedEvent = z.enum([
  "AGENT_SPAWNED",
  "AGENT_COMPLETED",
  "AGENT_FAILED",
  "AGENT_RETRYING",
  "REPUTATION_UPDATED",
  "KNOWLEDGE_DRIFT",
  "BUDGET_WARNING",
  "BUDGET_EXCEEDED",
  "FLEET_OVERLOAD",
  "GOVERNANCE_ALERT",
]);
export type NamedEvent = z.infer<typeof NamedEvent>;

export const TaskEventType = z.templateLiteral(["fleet.task.", TaskStatus]);
export type TaskEventType = z.infer<typeof TaskEventType>;

/** @internal The program itself never reads them: docs/events.md is generated from them. */
export const EVENT_DESCRIPTIONS: Readonly<Record<NamedEvent, string>> = {
  AGENT_SPAWNED: "An agent's first heartbeat was seen",
  AGENT_COMPLETED: "An agent delivered a pull request",
  AGENT_FAILED: "An attempt failed, or its result was rejected",
  AGENT_RETRYING: "A further attempt was admitted",
  REPUTATION_UPDATED: "The score of an agent type and model changed",
  KNOWLEDGE_DRIFT: "The documentation of a product no longer matches it",
  BUDGET_WARNING: "80% of a budget or daily cap of a task, an operator or a tenant is used",
  BUDGET_EXCEEDED: "A budget or daily cap of an operator or a tenant is used up",
  FLEET_OVERLOAD: "More tasks wait for hosts, or one waits longer, than `governance.overload` allows",
  GOVERNANCE_ALERT: "An invariant is violated, a scheduled check does not run, or an operator is refused many spawns",
};

/** The named event that is sent when a task enters a state. */
export const NAMED_EVENT_BY_STATUS: Readonly<Partial<Record<TaskStatus, NamedEvent>>> = {
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

/** `tenantid` is an extension attribute: CloudEvents allows only lower-case letters and digits in such names. */
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

/** Creates the event of the transition, and the named event if the state has one. Ids are derived from the change, so repeats have the same id. */
export function taskEvents(change: TaskChange): TaskEvent[] {
  const named = NAMED_EVENT_BY_STATUS[change.to];
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

export const OrderEventType = z.templateLiteral(["fleet.order.", OrderStatus]);

/** @internal As EVENT_DESCRIPTIONS. */
export const ORDER_EVENT_DESCRIPTIONS: Readonly<Record<OrderStatus, string>> = {
  pending: "It was created (`from` is null), is retried, or is taken over from a dead worker",
  running: "A worker started it",
  completed: "It succeeded, and its evidence is stored",
  failed: "It failed; `reason` says why",
  skipped: "It did not run: its batch or its product was stopped",
};

export const OrderEventData = z.object({
  orderId: z.uuid(),
  operatorId: z.string(),
  productId: z.string(),
  intent: Intent,
  /** Null for the event of a new order. */
  from: OrderStatus.nullable(),
  to: OrderStatus,
  actor: z.string(),
  attempt: z.int().min(0),
  version: z.int().min(0),
  batchId: z.uuid().nullable(),
  runId: z.uuid().nullable(),
  reason: z.string().max(200).nullable(),
});

export const OrderEvent = TaskEvent.extend({ type: OrderEventType, data: OrderEventData });
export type OrderEvent = z.infer<typeof OrderEvent>;

export interface OrderChange {
  /** The order as it is after the change. */
  readonly order: Pick<
    z.infer<typeof OrderEventData>,
    "operatorId" | "productId" | "intent" | "attempt" | "batchId"
  > & {
    readonly id: string;
    readonly tenantId: string;
    readonly status: OrderStatus;
    readonly version: number;
    readonly reason: string | null;
  };
  readonly from: OrderStatus | null;
  readonly actor: string;
  readonly at: Date;
  readonly runId?: string | undefined;
}

export function orderEvent({ order, from, actor, at, runId }: OrderChange): OrderEvent {
  const type = `fleet.order.${order.status}` as const;
  return {
    specversion: "1.0",
    id: `${order.id}.${order.version}.${type}`,
    source: "/fleetwright/orders",
    type,
    subject: order.id,
    time: at.toISOString(),
    datacontenttype: "application/json",
    tenantid: order.tenantId,
    data: {
      orderId: order.id,
      operatorId: order.operatorId,
      productId: order.productId,
      intent: order.intent,
      from,
      to: order.status,
      actor,
      attempt: order.attempt,
      version: order.version,
      batchId: order.batchId,
      runId: runId ?? null,
      reason: order.reason === null ? null : order.reason.slice(0, 200).toWellFormed(),
    },
  };
}
