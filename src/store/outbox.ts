/** outbox: messages for the queues and readers of events, written in the transaction that causes them. The relay reads it here. */
import { z } from "zod";
import type { QueueDefinition } from "../../queues/define.ts";
import { sql, type Tx } from "./sql.ts";

/** A job for a queue. The dedup key is the job's id, so that a hint is written once per epoch. */
export interface Hint {
  readonly topic: string;
  readonly dedupKey: string;
  readonly payload: unknown;
  readonly delayMs?: number;
}

export function createHint<Payload extends z.ZodType>(
  queue: QueueDefinition<Payload>,
  payload: z.output<Payload>,
  delayMs?: number,
): Hint {
  return {
    topic: queue.name,
    dedupKey: `${queue.name}/${queue.jobId(payload)}`,
    payload,
    ...(delayMs === undefined ? {} : { delayMs }),
  };
}

const OutboxRow = z.object({
  id: z.string(),
  topic: z.string(),
  payload: z.unknown(),
  delayMs: z.number(),
  retryCount: z.int(),
});
export type OutboxRow = z.infer<typeof OutboxRow>;

/**
 * Claims up to `limit` waiting rows in order and marks them processed, in one statement. Commit once the queue has them; after
 * a rollback they wait as before. Other relays skip them until this transaction ends.
 * (`outbox.id`: a bare `id` would be the text of the result, which sorts "10" before "9".)
 */
export async function claimHints(tx: Tx, limit: number): Promise<OutboxRow[]> {
  return tx.many(OutboxRow)`
    with taken as materialized (
      select id, topic, payload, retry_count, run_at, next_attempt_at from outbox
      where processed_at is null and dead_at is null and next_attempt_at <= now() and topic <> 'event'
      order by next_attempt_at, outbox.id limit ${limit} for update skip locked
    ), processed as (
      update outbox set processed_at = now(), last_error = null where id = any(array(select id from taken))
    )
    select id::text, topic, payload, retry_count,
      greatest(0, extract(epoch from run_at - now()) * 1000)::float8 as delay_ms
    from taken order by next_attempt_at, taken.id`;
}

/** Lets the rows wait again. After `maxTries` they are dead: retained, and reported by an invariant. */
export async function markHintsFailed(
  tx: Tx,
  failure: { ids: readonly string[]; error: string; pauseMs: number; maxTries: number },
): Promise<void> {
  await tx.run`
    update outbox set processed_at = null, retry_count = retry_count + 1, last_error = ${failure.error},
      next_attempt_at = now() + ${failure.pauseMs}::float8 * interval '1 ms',
      dead_at = case when retry_count + 1 >= ${failure.maxTries} then now() end
    where id = any(${failure.ids}::bigint[])`;
}

/** Stores hints outside a task's transition: those that the reconciler issues again, and those of no task. */
export async function insertHints(
  tx: Tx,
  owner: { tenantId: string; operatorId: string; taskId?: string | null },
  hints: readonly Hint[],
): Promise<void> {
  await tx.run`
    insert into outbox (tenant_id, operator_id, task_id, topic, dedup_key, payload, run_at)
    select ${owner.tenantId}, ${owner.operatorId}, ${owner.taskId ?? null}::uuid, topic, "dedupKey", payload,
      now() + "delayMs" * interval '1 ms'
    from jsonb_to_recordset(${JSON.stringify(hints)}::jsonb)
      as hint (topic text, "dedupKey" text, payload jsonb, "delayMs" float8)
    on conflict on constraint outbox_dedup_key do nothing`;
}

/** Stores events that belong to no task. They count as processed, because readers find them here and not in a queue. */
export async function insertEvents(
  tx: Tx,
  events: readonly { readonly id: string; readonly tenantid: string; readonly data: { readonly operatorId: string } }[],
): Promise<void> {
  if (events.length === 0) return;
  await tx.run`
    insert into outbox (tenant_id, operator_id, topic, dedup_key, payload, processed_at)
    select event->>'tenantid', event->'data'->>'operatorId', 'event', 'event_' || (event->>'id'), event, now()
    from jsonb_array_elements(${JSON.stringify(events)}::jsonb) as event
    on conflict on constraint outbox_dedup_key do nothing`;
}

const EventRow = z.object({
  cursor: z.string(),
  taskId: z.uuid().nullable(),
  payload: z.record(z.string(), z.unknown()),
});
export type EventRow = z.infer<typeof EventRow>;

/**
 * Lists events after `cursor` ("<xid>-<id>", "0-0" from the start), oldest first. It shows only rows below every running
 * transaction: no smaller cursor can appear any more, so that a reader that stores its last cursor misses nothing.
 */
export async function listEvents(
  tx: Tx,
  after: { cursor: string; limit: number; taskId?: string | undefined },
): Promise<EventRow[]> {
  const [xid = "0", id = "0"] = after.cursor.split("-");
  return tx.many(EventRow)`
    select xid::text || '-' || id::text as cursor, task_id, payload from outbox
    where topic = 'event' and (xid, id) > (${xid}::text::xid8, ${id}::bigint)
      and xid < pg_snapshot_xmin(pg_current_snapshot())
      ${after.taskId === undefined ? sql`` : sql`and task_id = ${after.taskId}`}
    order by xid, id limit ${after.limit}`;
}

/** Lists the newest events, oldest first. */
export async function listLatestEvents(
  tx: Tx,
  { limit, taskId }: { limit: number; taskId?: string | undefined },
): Promise<EventRow[]> {
  const ofTask = taskId === undefined ? sql`` : sql` and task_id = ${taskId}`;
  const rows = await tx.many(EventRow)`
    select xid::text || '-' || id::text as cursor, task_id, payload from outbox
    where topic = 'event' and xid < pg_snapshot_xmin(pg_current_snapshot())${ofTask}
    order by xid desc, id desc limit ${limit}`;
  return rows.toReversed();
}

const EventCursor = z.object({ cursor: z.string() });

/** Returns the cursor of a reader that wants only future events. */
export async function getLatestEventCursor(tx: Tx): Promise<string> {
  const row = await tx.one(EventCursor)`select pg_snapshot_xmin(pg_current_snapshot())::text || '-0' as cursor`;
  return row.cursor;
}
