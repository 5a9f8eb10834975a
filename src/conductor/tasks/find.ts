/** Finding and listing tasks for an operator: by name, by filter and page by page; and all details of one. */
import { FleetError, TaskNotFoundError } from "../../domain/errors.ts";
import type { StoredAgentFacts } from "../../domain/monitor/facts.ts";
import type { Operator } from "../../domain/operator.ts";
import { shortId, type Task } from "../../domain/task/task.ts";
import { listAttempts } from "../../store/attempts.ts";
import { listAuditEntries } from "../../store/audit.ts";
import { listCiRuns, type CiRun } from "../../store/ci-runs.ts";
import { listFacts } from "../../store/heartbeats.ts";
import { listHosts } from "../../store/hosts.ts";
import { listNotifications } from "../../store/notifications.ts";
import { listReviews } from "../../store/reviews.ts";
import type { Tx } from "../../store/sql.ts";
import { listTaskPage, type TaskPage, type TaskSearch } from "../../store/task-pages.ts";
import { countTasksByStatus, listTasksById, listTasksByName } from "../../store/tasks.ts";
import type { Fleet } from "../fleet.ts";
import { pullRequestsOf } from "../delivery/pull-requests.ts";
import { oneNamed } from "../name.ts";
import { queuePositions } from "./slots.ts";
import { visibleTo } from "../scope.ts";
import type { Review } from "../../domain/task/review.ts";
import type { PullRequest } from "../../domain/task/pull-request.ts";
import type { Host } from "../../domain/host.ts";
import type { Attempt } from "../../domain/task/attempt.ts";
import type { NotificationRow } from "../../domain/notify/notification.ts";
import type { AuditEntry } from "../../domain/audit/audit.ts";

/** By id, by a prefix of it, or by short name. Throws TaskNotFoundError, or "ambiguous-name". */
export async function getTaskNamed(fleet: Fleet, by: Operator, name: string): Promise<Task> {
  return fleet.store.transaction(visibleTo(by, { all: true }), (tx) => findTaskByName(tx, name));
}

/** A removed task is still found by its whole id. */
async function findTaskByName(tx: Tx, name: string): Promise<Task> {
  const task = await oneNamed(name, {
    plural: "tasks",
    find: (digits, limit) => (digits.length === 32 ? listTasksById(tx, [digits]) : listTasksByName(tx, digits, limit)),
    describe: ({ id, title }) => `${shortId(id)} (${title})`,
  });
  if (!task) throw new TaskNotFoundError(name);
  return task;
}

/** The task, if the operator owns it or is an admin. Throws "not-owner" within the tenant, else TaskNotFoundError. */
export async function getOwnTask(fleet: Fleet, by: Operator, name: string): Promise<Task> {
  const task = await getTaskNamed(fleet, by, name);
  if (task.operatorId !== by.id && by.role !== "admin") {
    throw new FleetError("not-owner", `Task ${shortId(task.id)} belongs to ${task.operatorId}. Ask them, or an admin.`);
  }
  return task;
}

/** Newest first. */
export async function listTasksFor(
  fleet: Fleet,
  by: Operator,
  filter: TaskSearch & { readonly all?: boolean },
): Promise<TaskPage> {
  const { all = false, ...search } = filter;
  return fleet.store.transaction(visibleTo(by, { all }), (tx) => listTaskPage(tx, search));
}

/** Counts per status, within sight. */
export async function countTasksFor(
  fleet: Fleet,
  by: Operator,
  { all = false }: { readonly all?: boolean } = {},
): Promise<Record<string, number>> {
  return fleet.store.transaction(visibleTo(by, { all }), (tx) => countTasksByStatus(tx));
}

export interface AgentList {
  readonly tasks: readonly Task[];
  readonly facts: ReadonlyMap<string, StoredAgentFacts>;
  readonly hosts: readonly Host[];
  /** For each task that waits for a host: how many tasks are before it in the queue. */
  readonly positions: ReadonlyMap<string, number>;
}

/** What `fleet ps` shows: tasks, the latest facts about their agents, and the hosts. Three statements, however many tasks. */
export async function listAgents(
  fleet: Fleet,
  by: Operator,
  filter: TaskSearch & { readonly all?: boolean },
): Promise<AgentList> {
  const { all = false, ...search } = filter;
  const listed = await fleet.store.transaction(visibleTo(by, { all }), async (tx) => {
    const { tasks } = await listTaskPage(tx, search);
    const facts = await listFacts(
      tx,
      tasks.map(({ id }) => id),
    );
    return { tasks, facts: new Map(facts.map((seen) => [seen.taskId, seen])), hosts: await listHosts(tx) };
  });
  return { ...listed, positions: await positionsOf(fleet, listed.tasks) };
}

/** The queue spans all tenants, so the system reads it; operators learn no more than their position. */
export async function positionsOf(fleet: Fleet, tasks: readonly Task[]): Promise<ReadonlyMap<string, number>> {
  return tasks.some(({ condition }) => condition === "waiting_slot") ? queuePositions(fleet) : new Map();
}

export interface TaskDetails {
  readonly task: Task;
  readonly history: readonly AuditEntry[];
  readonly attempts: readonly Attempt[];
  readonly facts: StoredAgentFacts | undefined;
  readonly pullRequests: readonly PullRequest[];
  readonly ciRuns: readonly CiRun[];
  readonly reviews: readonly Review[];
  readonly notifications: readonly NotificationRow[];
  /** How many tasks are before this one in the queue; undefined when it does not wait for a host. */
  readonly position: number | undefined;
}

const MAX_HISTORY = 1_000;

export async function getTaskDetails(fleet: Fleet, by: Operator, name: string): Promise<TaskDetails> {
  const details = await fleet.store.transaction(visibleTo(by, { all: true }), async (tx) => {
    const task = await findTaskByName(tx, name);
    const [facts] = await listFacts(tx, [task.id]);
    return {
      task,
      history: await listAuditEntries(tx, `task:${task.id}`, { after: 0, limit: MAX_HISTORY }),
      attempts: await listAttempts(tx, task.id),
      facts,
      pullRequests: await pullRequestsOf(tx, task.id),
      ciRuns: await listCiRuns(tx, [task.id]),
      reviews: await listReviews(tx, [task.id]),
      notifications: await listNotifications(tx, task.id),
    };
  });
  return { ...details, position: (await positionsOf(fleet, [details.task])).get(details.task.id) };
}
