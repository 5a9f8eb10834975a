/** Telling what is wrong with the house: the row of the episode, the event and the messages, in one transaction. */
import type { AlertContent, AlertKind } from "../../domain/notify/alert.ts";
import { alertEvent } from "../../domain/notify/alert.ts";
import { composeNotification, type NotificationType } from "../../domain/notify/notification.ts";
import { closeAlert, openAlert } from "../../store/alerts.ts";
import { insertNotifications } from "../../store/notifications.ts";
import { insertEvents } from "../../store/outbox.ts";
import type { Tx } from "../../store/sql.ts";
import type { Fleet } from "../fleet.ts";

const NOTIFICATION_TYPES: Readonly<Record<AlertKind, NotificationType>> = {
  BUDGET_WARNING: "budget_warning",
  BUDGET_EXCEEDED: "budget_exceeded",
  FLEET_OVERLOAD: "fleet_overload",
  GOVERNANCE_ALERT: "governance_alert",
};

/** True when it is new: it was told now, and will not be again before it has ended. */
export async function raiseAlert(fleet: Fleet, tx: Tx, kind: AlertKind, notice: AlertContent): Promise<boolean> {
  const episode = await openAlert(tx, kind, notice);
  if (episode === undefined) return false;
  fleet.log.warn({ event: "alert.raised", kind, key: notice.key }, notice.summary);
  await publishAlert(fleet, tx, kind, { ...notice, state: "raised", episode });
  return true;
}

/** True when it was under way: its end was told now. */
export async function endAlert(fleet: Fleet, tx: Tx, kind: AlertKind, key: string): Promise<boolean> {
  const alert = await closeAlert(tx, key);
  if (!alert) return false;
  const { tenantId, operatorId, facts, episode } = alert;
  const summary = `over: ${alert.summary}`;
  await publishAlert(fleet, tx, kind, {
    key,
    tenantId,
    operatorId,
    subject: key,
    summary,
    facts,
    state: "ended",
    episode,
  });
  return true;
}

type AlertChange = AlertContent & { readonly state: "raised" | "ended"; readonly episode: number };

async function publishAlert(fleet: Fleet, tx: Tx, kind: AlertKind, alert: AlertChange): Promise<void> {
  await insertEvents(tx, [alertEvent(kind, { ...alert, at: fleet.clock() })]);
  const { channels, mute } = fleet.settings.notify;
  if (mute.includes(NOTIFICATION_TYPES[kind])) return;
  const {
    type,
    summary,
    taskId: _none,
    ...facts
  } = composeNotification(NOTIFICATION_TYPES[kind], null, { detail: alert.summary });
  const key = `alert/${alert.key}/${alert.episode}/${alert.state}`;
  await insertNotifications(tx, alert, { key, type, summary, facts, channels });
}
