/** What is deleted after a time: told outbox rows, and rows of what is over. Audit entries go by partition, never row by row. */
import type { Tx } from "./sql.ts";

/** Oldest first, at most `limit`; returns how many went. */
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

/** Orders that are over, with their runs, once gc has taken what these left: what it keeps, it keeps with its order. */
export async function pruneOrders(tx: Tx, keepDays: number, limit: number): Promise<number> {
  return tx.run`
    delete from work_orders where id = any(array(
      select o.id from work_orders o
      where o.completed_at < now() - ${keepDays}::float8 * interval '1 day'
        and not exists (select 1 from runs r where r.order_id = o.id
          and (r.collected_at is null or r.pinned or r.release is not null))
      order by o.completed_at limit ${limit}))`;
}

/** Told to everybody it was for. Those of a task go with it: as long as it is there, they prove that its end was told. */
export async function pruneNotifications(tx: Tx, keepDays: number, limit: number): Promise<number> {
  return tx.run`
    delete from fleet_notifications where id = any(array(
      select id from fleet_notifications
      where task_id is null and status <> 'pending' and created_at < now() - ${keepDays}::float8 * interval '1 day'
      order by created_at limit ${limit}))`;
}

/** The last facts about agents of tasks that are long over. */
export async function pruneHeartbeats(tx: Tx, keepDays: number, limit: number): Promise<number> {
  return tx.run`
    delete from heartbeats where task_id = any(array(
      select h.task_id from heartbeats h join fleet_tasks t on t.id = h.task_id
      where t.completed_at < now() - ${keepDays}::float8 * interval '1 day' limit ${limit}))`;
}

/**
 * Tasks that are long over and of which nothing is left on a disk, with all that belongs to them. Their audit entries stay:
 * history outlives what it is about.
 */
export async function pruneTasks(tx: Tx, keepDays: number, limit: number): Promise<number> {
  return tx.run`
    delete from fleet_tasks where id = any(array(
      select t.id from fleet_tasks t
      where t.completed_at < now() - ${keepDays}::float8 * interval '1 day' and t.workspace_path is null
        and not exists (select 1 from attempts a where a.task_id = t.id and a.closed_at is null)
      order by t.completed_at limit ${limit}))`;
}

/** What was used on days long past; the sums of all time stay. */
export async function pruneSpending(tx: Tx, keepDays: number): Promise<number> {
  return tx.run`
    delete from spending where period <> 'ever'
      and period < to_char((now() at time zone 'utc') - ${keepDays}::float8 * interval '1 day', 'YYYY-MM-DD')`;
}

/** What hosts were asked, and what they deleted. */
export async function pruneGc(tx: Tx, keepDays: number): Promise<number> {
  const reports = await tx.run`
    delete from gc_reports where asked_at < now() - ${keepDays}::float8 * interval '1 day'`;
  const marks = await tx.run`
    delete from gc_marks where swept_at < now() - ${keepDays}::float8 * interval '1 day'`;
  return reports + marks;
}
