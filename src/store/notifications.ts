/** fleet_notifications: one row per message and channel, written with what it is about, before any try to deliver it. */
import { z } from "zod";
import { notifyQueue } from "../../queues/notify.ts";
import { sql, type Tx } from "./sql.ts";
import { NotificationRow } from "../domain/notify/notification.ts";

const columns = sql`n.id, n.tenant_id, n.operator_id, n.task_id, n.type, n.channel, n.summary, n.facts, n.status, n.epoch,
  n.tries, n.last_error, n.due_at, n.delivered_at, n.created_at`;

/** The pending row of this epoch, when it is due; undefined when it is told, on its way, or waits under another epoch. */
export async function findPendingNotification(
  tx: Tx,
  { notificationId, epoch }: { notificationId: string; epoch: number },
): Promise<NotificationRow | undefined> {
  return tx.maybeOne(NotificationRow)`
    select ${columns} from fleet_notifications n
    where n.id = ${notificationId} and n.epoch = ${epoch} and n.status = 'pending' and n.due_at <= now() + interval '50 ms'`;
}

/** The pending row of this epoch, its next try claimed for `leaseMs`: a second job meanwhile finds nothing due. */
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

/** A message that is about no single task: to the receiver's channels, with the hints to deliver it. The same key is the same message. */
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
    with noted as (
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
    from noted
    on conflict on constraint outbox_dedup_key do nothing`;
}

/** Closes it; with the epoch of the claim, so that a late sender cannot speak over a newer try. */
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

/** Another try later, under a new epoch (a finished job's id would be ignored by the queue). */
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

/** The same message on another channel: the fallback when the chosen one is done for. */
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

/** Pending ones whose job seems lost. */
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

/** Until the transaction ends, nobody else decides what this receiver is sent. */
export async function lockReceiver(tx: Tx, { operatorId, channel }: Receiver): Promise<void> {
  await tx.run`select pg_advisory_xact_lock(hashtextextended('notify/' || ${channel} || '/' || ${operatorId}, 0))`;
}

type Receiver = Pick<NotificationRow, "operatorId" | "channel">;

/** When this receiver was sent something in the last minute; what is on its way counts as sent. */
export async function listRecentSendTimes(tx: Tx, { operatorId, channel }: Receiver): Promise<Date[]> {
  const rows = await tx.many(z.object({ at: z.date() }))`
    select coalesce(delivered_at, now()) as at from fleet_notifications
    where operator_id = ${operatorId} and channel = ${channel} and created_at > now() - interval '1 day'
      and (status = 'delivered' and delivered_at > now() - interval '1 minute'
        or status = 'pending' and tries > 0 and last_error is null and due_at > now())`;
  return rows.map(({ at }) => at);
}

/** Too many for one minute: it waits, and is marked as one that may be summed up with others. */
export async function throttleNotification(tx: Tx, row: { id: string; epoch: number }, untilMs: number): Promise<void> {
  await tx.run`
    update fleet_notifications set epoch = epoch + 1, due_at = now() + ${untilMs}::float8 * interval '1 ms',
      facts = facts || '{"held": true}'
    where id = ${row.id} and epoch = ${row.epoch} and status = 'pending' and due_at <= now() + interval '50 ms'`;
}

/** The held ones of this receiver besides `row`, now merged into it: it speaks for all of them. */
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

/** What it says from now on, also in its further tries and its fallback. */
export async function rewriteNotification(
  tx: Tx,
  row: Pick<NotificationRow, "id" | "type" | "summary" | "facts">,
): Promise<void> {
  await tx.run`
    update fleet_notifications set type = ${row.type}, summary = ${row.summary}, facts = ${JSON.stringify(row.facts)}::jsonb
    where id = ${row.id}`;
}

/** One message, on each of its channels. */
export async function listNotificationsByKey(tx: Tx, key: string): Promise<NotificationRow[]> {
  return tx.many(NotificationRow)`
    select ${columns} from fleet_notifications n where n.dedup_key = ${key} order by n.channel`;
}

export async function listNotifications(tx: Tx, taskId: string): Promise<NotificationRow[]> {
  return tx.many(
    NotificationRow,
  )`select ${columns} from fleet_notifications n where n.task_id = ${taskId} order by n.created_at, n.id`;
}
