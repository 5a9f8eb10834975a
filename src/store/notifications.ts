/** fleet_notifications: one row per message and channel, written in the transaction of its subject, before any delivery. */
import { z } from "zod";
import { notifyQueue } from "../../queues/notify.ts";
import { sql, type Tx } from "./sql.ts";
import { NotificationRow } from "../domain/notify/notification.ts";

const columns = sql`n.id, n.tenant_id, n.operator_id, n.task_id, n.type, n.channel, n.summary, n.facts, n.status, n.epoch,
  n.tries, n.last_error, n.due_at, n.delivered_at, n.created_at`;

/** Finds the pending row of this epoch when it is due; undefined when it is delivered, being sent, or waits under another epoch. */
export async function findPendingNotification(
  tx: Tx,
  { notificationId, epoch }: { notificationId: string; epoch: number },
): Promise<NotificationRow | undefined> {
  return tx.maybeOne(NotificationRow)`
    select ${columns} from fleet_notifications n
    where n.id = ${notificationId} and n.epoch = ${epoch} and n.status = 'pending' and n.due_at <= now() + interval '50 ms'`;
}

/** Claims the next try of the pending row of this epoch for `leaseMs`, so that a second job finds nothing due. */
export async function claimNotification(
  tx: Tx,
  { notificationId, epoch }: { notificationId: string; epoch: number },
  leaseMs: number,
): Promise<NotificationRow | undefined> {
  return tx.maybeOne(NotificationRow)`
    update fleet_notifications n set tries = tries + 1, due_at = now() + ${leaseMs}::float8 * interval '1 ms'
    where n.id = ${notificationId} and n.epoch = ${epoch} and n.status = 'pending' and n.due_at <= now() + interval '50 ms'
    returning ${columns}`;
}

/** Stores a message about no single task for each of the receiver's channels, with delivery hints. A repeated key adds nothing. */
export async function insertNotifications(
  tx: Tx,
  to: { readonly tenantId: string; readonly operatorId: string },
  message: {
    readonly key: string;
    readonly type: string;
    readonly summary: string;
    readonly facts: Readonly<Record<string, unknown>>;
    readonly channels: readonly string[];
  },
): Promise<void> {
  await tx.run`
    with stored as (
      insert into fleet_notifications (tenant_id, operator_id, type, channel, dedup_key, summary, facts)
      select ${to.tenantId}, ${to.operatorId}, ${message.type}, channel, ${message.key}, ${message.summary},
        ${JSON.stringify(message.facts)}::jsonb
      from fleet_channels(${to.tenantId}, ${to.operatorId}, ${JSON.stringify(message.channels)}::jsonb) as channel
      on conflict on constraint fleet_notifications_dedup do nothing
      returning id
    )
    insert into outbox (tenant_id, operator_id, topic, dedup_key, payload)
    select ${to.tenantId}, ${to.operatorId}, ${notifyQueue.name}, ${`${notifyQueue.name}/notify_`} || id || '_e1',
      jsonb_build_object('notificationId', id, 'epoch', 1)
    from stored
    on conflict on constraint outbox_dedup_key do nothing`;
}

/** Closes it under the epoch of the claim, so that a late sender cannot overwrite a newer try. */
export async function settleNotification(
  tx: Tx,
  row: { id: string; epoch: number },
  outcome: { status: "delivered" | "failed" | "merged"; error?: string },
): Promise<void> {
  await tx.run`
    update fleet_notifications set status = ${outcome.status}, last_error = ${outcome.error ?? null},
      delivered_at = case when ${outcome.status} = 'delivered' then now() end
    where id = ${row.id} and epoch = ${row.epoch} and status = 'pending'`;
}

/** Schedules another try under a new epoch, because the queue ignores the id of a finished job. */
export async function postponeNotification(
  tx: Tx,
  row: { id: string; epoch: number },
  retry: { inMs: number; error: string },
): Promise<void> {
  await tx.run`
    update fleet_notifications set epoch = epoch + 1, last_error = ${retry.error},
      due_at = now() + ${retry.inMs}::float8 * interval '1 ms'
    where id = ${row.id} and epoch = ${row.epoch} and status = 'pending'`;
}

/** Stores the same message for another channel, as a fallback when the chosen one has failed. */
export async function insertFallbackNotification(
  tx: Tx,
  row: NotificationRow,
  channel: string,
): Promise<string | undefined> {
  const made = await tx.maybeOne(z.object({ id: z.uuid() }))`
    insert into fleet_notifications (tenant_id, operator_id, task_id, type, channel, dedup_key, summary, facts)
    select tenant_id, operator_id, task_id, type, ${channel}, dedup_key || '/fallback-' || channel, summary,
      facts || jsonb_build_object('fallbackFrom', channel, 'why', last_error)
    from fleet_notifications where id = ${row.id}
    on conflict on constraint fleet_notifications_dedup do nothing
    returning id`;
  return made?.id;
}

/** Lists pending ones whose jobs seem to be lost. */
export async function listOverdueNotifications(tx: Tx, graceMs: number, limit: number): Promise<NotificationRow[]> {
  return tx.many(NotificationRow)`
    select ${columns} from fleet_notifications n
    where n.status = 'pending' and n.due_at < now() - ${graceMs}::float8 * interval '1 ms'
    order by n.due_at limit ${limit}`;
}

export async function bumpNotificationEpochs(tx: Tx, ids: readonly string[]): Promise<{ id: string; epoch: number }[]> {
  return tx.many(z.object({ id: z.string(), epoch: z.int() }))`
    update fleet_notifications set epoch = epoch + 1 where id = any(${ids}::uuid[]) returning id, epoch`;
}

/** Keeps other transactions from deciding what this receiver gets until this one ends. */
export async function lockReceiver(tx: Tx, { operatorId, channel }: Receiver): Promise<void> {
  await tx.run`select pg_advisory_xact_lock(hashtextextended('notify/' || ${channel} || '/' || ${operatorId}, 0))`;
}

type Receiver = Pick<NotificationRow, "operatorId" | "channel">;

/** Lists when this receiver got messages in the last minute; messages being sent count. */
export async function listRecentSendTimes(tx: Tx, { operatorId, channel }: Receiver): Promise<Date[]> {
  const rows = await tx.many(z.object({ at: z.date() }))`
    select coalesce(delivered_at, now()) as at from fleet_notifications
    where operator_id = ${operatorId} and channel = ${channel} and created_at > now() - interval '1 day'
      and (status = 'delivered' and delivered_at > now() - interval '1 minute'
        or status = 'pending' and tries > 0 and last_error is null and due_at > now())`;
  return rows.map(({ at }) => at);
}

/** Postpones a message over the rate limit, and marks it as one that may be merged with others. */
export async function throttleNotification(tx: Tx, row: { id: string; epoch: number }, untilMs: number): Promise<void> {
  await tx.run`
    update fleet_notifications set epoch = epoch + 1, due_at = now() + ${untilMs}::float8 * interval '1 ms',
      facts = facts || '{"held": true}'
    where id = ${row.id} and epoch = ${row.epoch} and status = 'pending' and due_at <= now() + interval '50 ms'`;
}

/** Merges the receiver's other held messages into `row`, which stands for all of them. Returns the merged ones. */
export async function mergeHeldNotifications(tx: Tx, row: NotificationRow, limit: number): Promise<NotificationRow[]> {
  return tx.many(NotificationRow)`
    update fleet_notifications n set status = 'merged', last_error = null
    where n.id in (
      select id from fleet_notifications
      where operator_id = ${row.operatorId} and channel = ${row.channel} and status = 'pending' and facts ? 'held'
        and id <> ${row.id}
      order by created_at limit ${limit})
    returning ${columns}`;
}

/** Replaces its text, also for later tries and the fallback. */
export async function rewriteNotification(
  tx: Tx,
  row: Pick<NotificationRow, "id" | "type" | "summary" | "facts">,
): Promise<void> {
  await tx.run`
    update fleet_notifications set type = ${row.type}, summary = ${row.summary}, facts = ${JSON.stringify(row.facts)}::jsonb
    where id = ${row.id}`;
}

/** Lists the rows of one message, one per channel. */
export async function listNotificationsByKey(tx: Tx, key: string): Promise<NotificationRow[]> {
  return tx.many(NotificationRow)`
    select ${columns} from fleet_notifications n where n.dedup_key = ${key} order by n.channel`;
}

export async function listNotifications(tx: Tx, taskId: string): Promise<NotificationRow[]> {
  return tx.many(
    NotificationRow,
  )`select ${columns} from fleet_notifications n where n.task_id = ${taskId} order by n.created_at, n.id`;
}
