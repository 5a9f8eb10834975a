/** Notifications for people: which transition of a task causes which notification, and what it says. */
import { z } from "zod";
import { createRedactor } from "../text/redact.ts";
import { type FailureClass, type Task, type TaskStatus } from "../task/task.ts";
import { stripTerminal } from "../text/terminal-text.ts";
import { toStorable } from "../text/untrusted.ts";

export const NotificationType = z.enum([
  "spawned",
  "needs_input",
  "pr_ready",
  "ci_failed",
  "review_rejected",
  "failed",
  "retrying",
  "abandoned",
  "merged",
  "cancelled",
  "host_lost",
  "budget_warning",
  "budget_exceeded",
  "fleet_overload",
  "governance_alert",
  "drift_found",
  "daily_digest",
  "test",
]);
export type NotificationType = z.infer<typeof NotificationType>;

export type NotificationSeverity = "good" | "attention" | "bad";

/** The colours that embeds and e-mails use: green, yellow, red. */
export const SEVERITY_COLOUR: Readonly<Record<NotificationSeverity, string>> = {
  good: "#2e7d32",
  attention: "#f9a825",
  bad: "#c62828",
};

interface NotificationKind {
  readonly severity: NotificationSeverity;
  readonly title: string;
  /** The command to run next, in which `{id}` stands for the task's id. */
  readonly command: string;
}

export const NOTIFICATION_KINDS: Readonly<Record<NotificationType, NotificationKind>> = {
  spawned: { severity: "good", title: "Agent started", command: "fleet logs {id} -f" },
  needs_input: { severity: "attention", title: "Agent asks for input", command: "fleet show {id}" },
  pr_ready: { severity: "good", title: "Ready to merge", command: "fleet merge {id}" },
  ci_failed: { severity: "bad", title: "Checks failed", command: "fleet logs {id}" },
  review_rejected: { severity: "attention", title: "Review asks for changes", command: "fleet show {id}" },
  failed: { severity: "bad", title: "Attempt failed", command: "fleet logs {id}" },
  retrying: { severity: "attention", title: "Trying again", command: "fleet logs {id} -f" },
  abandoned: { severity: "bad", title: "Given up", command: "fleet show {id}" },
  merged: { severity: "good", title: "Merged", command: "fleet show {id}" },
  cancelled: { severity: "attention", title: "Cancelled", command: "fleet show {id}" },
  host_lost: { severity: "bad", title: "Host lost", command: "fleet ps" },
  budget_warning: { severity: "attention", title: "Budget nearly used", command: "fleet show {id}" },
  budget_exceeded: { severity: "bad", title: "Budget exceeded", command: "fleet show {id}" },
  fleet_overload: { severity: "attention", title: "Fleet overloaded", command: "fleet ps" },
  governance_alert: { severity: "bad", title: "Governance", command: "fleet invariants" },
  drift_found: { severity: "attention", title: "Drift found", command: "fleet drift" },
  daily_digest: { severity: "good", title: "Daily digest", command: "fleet ps --all" },
  test: { severity: "good", title: "Test message", command: "fleet notify test" },
};

type NotificationOrNone = NotificationType | "none";

/** The notification of every transition. A test compares it with VALID_TRANSITIONS; final states always notify. */
export const NOTIFICATION_BY_TRANSITION: Readonly<
  Record<TaskStatus, Readonly<Partial<Record<TaskStatus, NotificationOrNone>>>>
> = {
  proposed: { spawning: "none", cancelled: "cancelled" },
  spawning: { running: "spawned", failed: "failed", cancelled: "cancelled" },
  running: { pr_created: "none", failed: "failed", cancelled: "cancelled" },
  pr_created: { reviewing: "none", failed: "failed", cancelled: "cancelled", merged: "merged" },
  reviewing: {
    ready: "pr_ready",
    rejected: "review_rejected",
    failed: "failed",
    cancelled: "cancelled",
    merged: "merged",
  },
  ready: { merged: "merged", rejected: "review_rejected", cancelled: "cancelled" },
  merged: {},
  rejected: { retrying: "retrying", abandoned: "abandoned", cancelled: "cancelled" },
  failed: { retrying: "retrying", abandoned: "abandoned", cancelled: "cancelled" },
  retrying: { spawning: "none", abandoned: "abandoned", cancelled: "cancelled" },
  abandoned: {},
  cancelled: {},
};

/** Failures of these classes have their own notification type. */
const NOTIFICATION_BY_FAILURE: Readonly<Partial<Record<FailureClass, NotificationType>>> = {
  ci_failed: "ci_failed",
  budget_exceeded: "budget_exceeded",
  host_lost: "host_lost",
};

/** Returns undefined when the transition does not notify anyone. */
export function notificationFor(
  from: TaskStatus,
  to: TaskStatus,
  failureClass?: FailureClass,
): NotificationType | undefined {
  const type = NOTIFICATION_BY_TRANSITION[from][to];
  if (type === undefined || type === "none") return undefined;
  if (type === "failed" && failureClass) return NOTIFICATION_BY_FAILURE[failureClass] ?? type;
  return type;
}

export const Notification = z.object({
  type: NotificationType,
  taskId: z.uuid().nullable(),
  summary: z.string().max(500),
  prUrl: z.string().nullable(),
  branch: z.string().nullable(),
  attempt: z.int().min(0).nullable(),
  /** In US dollars; null when it is not known. */
  cost: z.number().min(0).nullable(),
  command: z.string(),
});
export type Notification = z.infer<typeof Notification>;

export interface NotificationFacts {
  /** What happened, in one line: a reason, a question, a number of findings. It may be untrusted text. */
  readonly detail?: string | undefined;
  readonly redact?: ((text: string) => string) | undefined;
}

type NotifiedTask = Pick<Task, "id" | "title" | "prUrl" | "branch" | "attempt" | "spend">;

/** `task` is null for what does not concern a single task, such as a host or drift. */
export function composeNotification(
  type: NotificationType,
  task: NotifiedTask | null,
  facts: NotificationFacts = {},
): Notification {
  const { title, command } = NOTIFICATION_KINDS[type];
  const redact = facts.redact ?? createRedactor().redact;
  const parts = [title, task?.title, facts.detail].filter((part) => part !== undefined && part !== "");
  const summary = oneLine(redact(parts.join(": ")), 500);
  if (!task) return { type, summary, command: withoutTask(command), ...NO_TASK };
  return {
    type,
    taskId: task.id,
    summary,
    prUrl: task.prUrl,
    branch: task.branch,
    attempt: task.attempt,
    cost: costOf(task.spend),
    command: command.replace("{id}", task.id),
  };
}

/** The task fields of a notification that has no task. */
export const NO_TASK = { taskId: null, prUrl: null, branch: null, attempt: null, cost: null } as const;

function withoutTask(command: string): string {
  return command.includes("{id}") ? "fleet ps" : command;
}

/** Puts the text on one line without terminal sequences. */
function oneLine(text: string, maxChars: number): string {
  const line = stripTerminal(toStorable(text)).replaceAll(/\s+/g, " ").trim();
  return line.length <= maxChars ? line : `${line.slice(0, maxChars - 1).replace(/[\uD800-\uDBFF]$/, "")}…`;
}

function costOf(spend: Readonly<Record<string, unknown>>): number | null {
  const cost = spend["cost"];
  return typeof cost === "number" && Number.isFinite(cost) && cost >= 0 ? cost : null;
}

export const NotificationRow = z.object({
  id: z.uuid(),
  tenantId: z.string(),
  operatorId: z.string(),
  taskId: z.uuid().nullable(),
  type: z.string(),
  channel: z.string(),
  summary: z.string(),
  facts: z.record(z.string(), z.unknown()),
  status: z.enum(["pending", "delivered", "failed", "merged"]),
  epoch: z.int(),
  tries: z.int(),
  lastError: z.string().nullable(),
  dueAt: z.date(),
  deliveredAt: z.date().nullable(),
  createdAt: z.date(),
});
export type NotificationRow = z.infer<typeof NotificationRow>;
