/** fleet_tasks: admission, and the statements that read tasks. transitions.ts moves them between states. */
import { z } from "zod";
import { SLOT_HOLDING_STATUSES, Task, type TaskStatus } from "../domain/task/task.ts";
import { Cap, type TaskBudget } from "../domain/budget.ts";
import { TaskNotFoundError } from "../domain/errors.ts";
import { cursorColumn, cursorShape, type PageCursor } from "./keyset.ts";
import type { Hint } from "./outbox.ts";
import { snakeKeys, sql, type Sql, type Tx } from "./sql.ts";

export const taskColumns = sql`t.id, t.tenant_id, t.operator_id, t.host, t.agent_type, t.model, t.routing_reason, t.task_type, t.title,
  t.description, t.repository, t.base_branch, t.branch, t.workspace_path, t.runtime, t.tmux_session,
  t.status, t.condition, t.condition_detail, t.condition_since, t.version, t.epoch, t.attempt, t.dispatch_id,
  t.lease_until, t.waiting_for, t.due_at, t.pr_number, t.pr_url, t.head_sha, t.ci_status, t.review_status, t.done_status,
  t.retry_count, t.max_retries, t.timeout_minutes, t.budget, t.spend, t.context_hash, t.failure_context, t.metadata,
  t.idempotency_key, t.audit_head, t.audit_seq, t.trace_id, t.spawned_at, t.completed_at, t.created_at,
  t.updated_at`;

/** A task to admit; its other columns have defaults. */
export type NewTask = Pick<
  Task,
  | "id"
  | "tenantId"
  | "operatorId"
  | "agentType"
  | "model"
  | "routingReason"
  | "taskType"
  | "title"
  | "description"
  | "repository"
  | "baseBranch"
  | "branch"
  | "maxRetries"
  | "timeoutMinutes"
  | "metadata"
  | "idempotencyKey"
  | "traceId"
> & { readonly requestHash: string; readonly budget?: TaskBudget };

const Admission = z.object({
  outcome: z.enum(["admitted", "repeated", "key_reused", "denied", "capped", "unknown_operator"]),
  held: z.int(),
  taskId: z.uuid().nullable(),
  /** The budget or daily cap because of which it was refused. */
  cap: Cap.nullable().transform((cap) => cap ?? undefined),
});
export type Admission = z.infer<typeof Admission>;

/** Admits a task: counts its slot, stores and audits it and queues its hint, or returns why not. Exact under concurrent calls. */
export async function admitTask(
  tx: Tx,
  task: NewTask,
  { limit, hints, event }: { limit: number; hints: readonly Hint[]; event: unknown },
): Promise<Admission> {
  return tx.one(Admission)`
    select outcome, held, task_id, cap from fleet_admit(null, ${JSON.stringify({ ...snakeKeys(task), waiting_for: "spawn" })}::jsonb,
      ${limit}, ${JSON.stringify(hints)}::jsonb, ${JSON.stringify(event)}::jsonb)`;
}

export async function findTask(tx: Tx, id: string): Promise<Task | undefined> {
  return tx.maybeOne(Task)`select ${taskColumns} from fleet_tasks t where t.id = ${id} and t.removed_at is null`;
}

export async function getTask(tx: Tx, id: string): Promise<Task> {
  const task = await findTask(tx, id);
  if (!task) throw new TaskNotFoundError(id);
  return task;
}

/** Finds the task for a job of this epoch; undefined when the task has moved on, so that the job does nothing. */
export async function findTaskAtEpoch(tx: Tx, job: { taskId: string; epoch: number }): Promise<Task | undefined> {
  return tx.maybeOne(Task)`
    select ${taskColumns} from fleet_tasks t where t.id = ${job.taskId} and t.epoch = ${job.epoch} and t.removed_at is null`;
}

/** Lists at most `limit` tasks whose id (with or without hyphens) or short id (its last eight digits) begins with `name`. */
export async function listTasksByName(tx: Tx, name: string, limit: number): Promise<Task[]> {
  const digits = name.replaceAll("-", "");
  if (!/^[0-9a-f]{1,32}$/.test(digits)) return [];
  // Ranges, because row security lets no index serve `like`, and a uuid has no prefix operator.
  return tx.many(Task)`
    select ${taskColumns} from fleet_tasks t
    where t.removed_at is null
      and (t.id between ${digits.padEnd(32, "0")}::uuid and ${digits.padEnd(32, "f")}::uuid
        or t.short_id >= ${digits} and t.short_id < ${`${digits}g`})
    order by t.created_at desc limit ${limit}`;
}

/** Filters that an index serves; task-pages.ts has the others. */
export interface TaskFilter {
  readonly statuses?: readonly TaskStatus[] | undefined;
  readonly tenantId?: string | undefined;
  readonly operatorId?: string | undefined;
  readonly since?: Date | undefined;
  /** Keyset: only tasks older than this one. */
  readonly before?: PageCursor | undefined;
  readonly limit: number;
}

const ListedTask = Task.extend(cursorShape);

/** Lists them newest first. */
export async function listTasks(tx: Tx, filter: TaskFilter): Promise<z.infer<typeof ListedTask>[]> {
  return tx.many(ListedTask)`
    select ${taskColumns}, ${cursorColumn(sql`t.created_at`)} from fleet_tasks t where ${taskConditions(filter)}
    order by t.created_at desc, t.id desc limit ${filter.limit}`;
}

/** Adds only the conditions that are set, so that each filter uses its own index. */
export function taskConditions({ statuses, tenantId, operatorId, since, before }: TaskFilter): Sql {
  const conditions: Sql[] = [sql`t.removed_at is null`];
  // The index has the rows of one status in order; those of several have to be sorted.
  if (statuses)
    conditions.push(statuses.length === 1 ? sql`t.status = ${statuses[0]}` : sql`t.status = any(${statuses})`);
  if (tenantId) conditions.push(sql`t.tenant_id = ${tenantId}`);
  if (operatorId) conditions.push(sql`t.operator_id = ${operatorId}`);
  if (since) conditions.push(sql`t.created_at >= ${since}`);
  if (before) conditions.push(sql`(t.created_at, t.id) < (${before.at}, ${before.id}::uuid)`);
  return conditions.reduce((all, condition) => sql`${all} and ${condition}`);
}

const StatusCount = z.object({ status: z.string(), count: z.int() });

export async function countTasksByStatus(tx: Tx): Promise<Record<string, number>> {
  const rows = await tx.many(StatusCount)`
    select status, count(*)::int as count from fleet_tasks where removed_at is null group by status`;
  return Object.fromEntries(rows.map(({ status, count }) => [status, count]));
}

/** Lists the live tasks of one shard. Shards split the tasks by a hash of the id, so that workers share the sweep. */
export async function listLiveTasks(tx: Tx, { shard, of }: { shard: number; of: number }): Promise<Task[]> {
  return tx.many(Task)`
    select ${taskColumns} from fleet_tasks t
    where t.status in ('spawning', 'running', 'pr_created', 'reviewing', 'ready')
      and mod(abs(hashtext(t.id::text)::bigint), ${of}) = ${shard}`;
}

export async function listTasksOnHost(tx: Tx, host: string): Promise<Task[]> {
  return tx.many(Task)`
    select ${taskColumns} from fleet_tasks t
    where t.host = ${host} and t.status in ('spawning', 'running', 'pr_created', 'reviewing')`;
}

/** Lists tasks whose job should have run by now, because its hint may be lost. Oldest first. */
export async function listOverdueTasks(tx: Tx, graceMs: number, limit: number): Promise<Task[]> {
  return tx.many(Task)`
    select ${taskColumns} from fleet_tasks t
    where t.waiting_for is not null and t.condition <> 'paused' and t.due_at < now() - ${graceMs}::float8 * interval '1 ms'
    order by t.due_at limit ${limit}`;
}

/** Lists tasks whose worker did not finish spawning within its lease. */
export async function listExpiredSpawns(tx: Tx, limit: number): Promise<Task[]> {
  return tx.many(Task)`
    select ${taskColumns} from fleet_tasks t
    where t.status = 'spawning' and t.condition <> 'paused' and t.lease_until < now() order by t.lease_until limit ${limit}`;
}

export async function listTasksById(tx: Tx, ids: readonly string[]): Promise<Task[]> {
  return tx.many(Task)`select ${taskColumns} from fleet_tasks t where t.id = any(${ids}::uuid[])`;
}

/** Postpones the next check of these tasks. It needs no new version, because nothing else reads `due_at`. */
export async function postponeTasks(tx: Tx, ids: readonly string[], byMs: number): Promise<void> {
  await tx.run`
    update fleet_tasks set due_at = now() + ${byMs}::float8 * interval '1 ms' where id = any(${ids}::uuid[])`;
}

/** Extends the lease; returns false when another worker has taken the task over. */
export async function renewTaskLease(
  tx: Tx,
  claim: { taskId: string; epoch: number },
  leaseMs: number,
): Promise<boolean> {
  const renewed = await tx.run`
    update fleet_tasks set lease_until = now() + ${leaseMs}::float8 * interval '1 ms'
    where id = ${claim.taskId} and epoch = ${claim.epoch}`;
  return renewed > 0;
}

const SlotDrift = z.object({ operatorId: z.string(), active: z.int(), counted: z.int() });

/** Lists operators whose slot counter differs from the number of tasks that hold a slot. None, unless something bypassed admission. */
export async function listSlotDrift(tx: Tx): Promise<z.output<typeof SlotDrift>[]> {
  return tx.many(SlotDrift)`
    select s.operator_id, s.active, count(t.id)::int as counted
    from slots s left join fleet_tasks t
      on t.operator_id = s.operator_id and t.status = any(${SLOT_HOLDING_STATUSES})
    group by s.operator_id, s.active having s.active <> count(t.id)`;
}

/** Corrects the counter: it counts again under the lock of the row, while no task can be admitted. */
export async function repairSlots(tx: Tx, operatorId: string): Promise<void> {
  await tx.run`select from slots where operator_id = ${operatorId} for update`;
  await tx.run`
    update slots set active = (select count(*) from fleet_tasks t
      where t.operator_id = ${operatorId} and t.status = any(${SLOT_HOLDING_STATUSES}))
    where operator_id = ${operatorId}`;
}

/** Hides a finished task; its history stays until retention. */
export async function markTaskRemoved(tx: Tx, id: string): Promise<void> {
  await tx.run`update fleet_tasks set removed_at = now(), version = version + 1 where id = ${id} and completed_at is not null`;
}

/** Lists ended tasks whose working copy is still on this host. */
export async function listTasksToClean(tx: Tx, host: string, limit: number): Promise<Task[]> {
  return tx.many(Task)`
    select ${taskColumns} from fleet_tasks t
    where t.host = ${host} and t.completed_at is not null and t.workspace_path is not null
      and not t.metadata ? 'workspaceKept'
    order by t.completed_at limit ${limit}`;
}
