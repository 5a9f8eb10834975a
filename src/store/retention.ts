/** Deletes old rows: processed outbox rows and rows of finished work. Audit entries are dropped by partition, never row by row. */
import type { Tx } from "./sql.ts";

/** Deletes at most `limit`, oldest first; returns how many. */
export async function pruneOutbox(
  tx: Tx,
  retention: { hintsMs: number; eventsMs: number; limit: number },
): Promise<number> {
  return tx.run`
    delete from outbox where id = any(array(
      select id from outbox
      where processed_at is not null and processed_at < now() -
        case when topic = 'event' then ${retention.eventsMs}::float8 else ${retention.hintsMs}::float8 end * interval '1 ms'
      order by processed_at limit ${retention.limit}))`;
}

/** Deletes finished orders with their runs, once gc has collected those; a run that gc retains keeps its order. */
export async function pruneOrders(tx: Tx, keepDays: number, limit: number): Promise<number> {
  return tx.run`
    delete from work_orders where id = any(array(
      select o.id from work_orders o
      where o.completed_at < now() - ${keepDays}::float8 * interval '1 day'
        and not exists (select 1 from runs r where r.order_id = o.id
          and (r.collected_at is null or r.pinned or r.release is not null))
      order by o.completed_at limit ${limit}))`;
}

/** Deletes closed ones of no task. Those of a task are deleted with it, because they prove that its end was reported. */
export async function pruneNotifications(tx: Tx, keepDays: number, limit: number): Promise<number> {
  return tx.run`
    delete from fleet_notifications where id = any(array(
      select id from fleet_notifications
      where task_id is null and status <> 'pending' and created_at < now() - ${keepDays}::float8 * interval '1 day'
      order by created_at limit ${limit}))`;
}

/** Deletes the latest facts about agents of tasks that ended long ago. */
export async function pruneHeartbeats(tx: Tx, keepDays: number, limit: number): Promise<number> {
  return tx.run`
    delete from heartbeats where task_id = any(array(
      select h.task_id from heartbeats h join fleet_tasks t on t.id = h.task_id
      where t.completed_at < now() - ${keepDays}::float8 * interval '1 day' limit ${limit}))`;
}

/**
 * Deletes tasks that ended long ago and have nothing left on a disk, with all their rows. Their audit entries stay: history
 * outlives its subject.
 */
export async function pruneTasks(tx: Tx, keepDays: number, limit: number): Promise<number> {
  return tx.run`
    delete from fleet_tasks where id = any(array(
      select t.id from fleet_tasks t
      where t.completed_at < now() - ${keepDays}::float8 * interval '1 day' and t.workspace_path is null
        and not exists (select 1 from attempts a where a.task_id = t.id and a.closed_at is null)
      order by t.completed_at limit ${limit}))`;
}

/** Deletes the usage of past days; totals stay. */
export async function pruneSpending(tx: Tx, keepDays: number): Promise<number> {
  return tx.run`
    delete from spending where period <> 'ever'
      and period < to_char((now() at time zone 'utc') - ${keepDays}::float8 * interval '1 day', 'YYYY-MM-DD')`;
}

/** Deletes old gc requests with their reports, and marks of deleted files. */
export async function pruneGc(tx: Tx, keepDays: number): Promise<number> {
  const reports = await tx.run`
    delete from gc_reports where asked_at < now() - ${keepDays}::float8 * interval '1 day'`;
  const marks = await tx.run`
    delete from gc_marks where swept_at < now() - ${keepDays}::float8 * interval '1 day'`;
  return reports + marks;
}
