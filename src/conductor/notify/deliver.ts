/** Delivers one notification to one channel: it is claimed, tried once, and then settled by the rules. */
import type { NotifyJob } from "../../../queues/notify.ts";
import { notifyQueue } from "../../../queues/notify.ts";
import { isChannelName } from "../../domain/notify/channels.ts";
import { decideCoalescing, decideDelivery, summarise } from "../../domain/notify/delivery.ts";
import { Notification as Message, NotificationType, type NotificationRow } from "../../domain/notify/notification.ts";
import { permanent } from "../../notify/channel.ts";
import {
  claimNotification,
  findPendingNotification,
  throttleNotification,
  insertFallbackNotification,
  listRecentSendTimes,
  lockReceiver,
  mergeHeldNotifications,
  postponeNotification,
  rewriteNotification,
  settleNotification,
} from "../../store/notifications.ts";
import { createHint, insertHints } from "../../store/outbox.ts";
import type { Tx } from "../../store/sql.ts";
import { channelTarget } from "../access/preferences.ts";
import type { Fleet } from "../fleet.ts";

/** Longer than the time limit of any channel, so that a claim outlasts its try. */
const LEASE_MS = 30_000;

/** In one summary; the next summary has the rest. */
const MAX_MERGED = 1_000;

/** Handles a notify job; false when nothing was due under this epoch. */
export async function deliverNotification(fleet: Fleet, job: NotifyJob, signal: AbortSignal): Promise<boolean> {
  const claimed = await fleet.store.asSystem(async (tx) => {
    const row = await claimOrHold(fleet, tx, job);
    const name = row && isChannelName(row.channel) ? row.channel : undefined;
    return row && { row, name, target: name && (await channelTarget(fleet, tx, row, name)) };
  });
  fleet.kickRelay();
  if (!claimed) return false;
  const { row, name, target } = claimed;
  await fleet.faultPoint("notify:before", row.id);
  const outcome = name
    ? await fleet.channels[name].deliver(
        { id: row.id, at: row.createdAt, notification: toMessage(row) },
        target,
        signal,
      )
    : permanent(`there is no channel ${row.channel}`);
  await fleet.faultPoint("notify:after", row.id);
  const decision = decideDelivery(outcome, row.tries, { now: fleet.clock(), random: fleet.random() });

  await fleet.store.asSystem(async (tx) => {
    if (decision.do === "finish") return settleNotification(tx, row, { status: "delivered" });
    const error = outcome.kind === "delivered" ? "" : outcome.reason;
    if (decision.do === "retry") {
      const inMs = Math.max(0, decision.at.getTime() - fleet.clock().getTime());
      await postponeNotification(tx, row, { inMs, error });
      return enqueueDelivery(tx, row, row.epoch + 1, inMs);
    }
    await settleNotification(tx, row, { status: "failed", error: decision.reason });
    fleet.log.warn(
      { event: "notification.failed", notificationId: row.id, channel: row.channel, error: decision.reason },
      "a notification could not be delivered",
    );
    const fallback = row.channel === "terminal" ? undefined : await insertFallbackNotification(tx, row, "terminal");
    if (fallback) await enqueueDelivery(tx, { ...row, id: fallback }, 1);
  });
  fleet.kickRelay();
  return true;
}

/** A burst is held back and becomes one summary: the first that is due carries all that wait for the same receiver. */
async function claimOrHold(fleet: Fleet, tx: Tx, job: NotifyJob): Promise<NotificationRow | undefined> {
  const pending = await findPendingNotification(tx, job);
  if (!pending) return undefined;
  // Before the row itself: a merge holds this lock and then takes rows.
  await lockReceiver(tx, pending);
  const decision = decideCoalescing(await listRecentSendTimes(tx, pending), fleet.clock());
  if (decision.do === "summarise") {
    const untilMs = Math.max(0, decision.at.getTime() - fleet.clock().getTime());
    await throttleNotification(tx, pending, untilMs);
    await enqueueDelivery(tx, pending, pending.epoch + 1, untilMs);
    return undefined;
  }
  const row = await claimNotification(tx, job, LEASE_MS);
  if (!row?.facts["held"]) return row;
  const merged = await mergeHeldNotifications(tx, row, MAX_MERGED);
  const summary = merged.length > 0 ? summarise([row, ...merged].map(toMessage)) : undefined;
  if (!summary) return row;
  const { type, taskId: _none, summary: text, ...facts } = summary;
  const combined = { ...row, type, summary: text, facts: { ...facts, merged: merged.length } };
  await rewriteNotification(tx, combined);
  return combined;
}

function enqueueDelivery(tx: Tx, to: NotificationRow, epoch: number, delayMs?: number): Promise<void> {
  return insertHints(tx, to, [createHint(notifyQueue, { notificationId: to.id, epoch }, delayMs)]);
}

function toMessage(row: NotificationRow): Message {
  const { fallbackFrom, why, held: _held, merged, ...facts } = row.facts;
  const failed =
    typeof fallbackFrom === "string" ? ` (${fallbackFrom} failed: ${typeof why === "string" ? why : "no reason"})` : "";
  const summary = `${row.summary}${failed}`;
  return Message.parse({
    attempt: null,
    branch: null,
    prUrl: null,
    cost: null,
    command: "fleet ps",
    ...facts,
    type: NotificationType.parse(row.type),
    taskId: merged ? null : row.taskId,
    summary: summary.slice(0, 500),
  });
}
