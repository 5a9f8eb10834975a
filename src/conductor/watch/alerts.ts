/** Telling what is wrong with the house: the row of the episode, the event and the messages, in one transaction. */
import type { Notice, NoticeKind } from "../../domain/notify/alert.ts";
import { noticeEvent } from "../../domain/notify/alert.ts";
import { composeNotification, type NotificationType } from "../../domain/notify/notification.ts";
import { closeAlert, openAlert } from "../../store/alerts.ts";
import { insertNotifications } from "../../store/notifications.ts";
import { insertEvents } from "../../store/outbox.ts";
import type { Tx } from "../../store/sql.ts";
import type { Fleet } from "../fleet.ts";

const TYPES: Readonly<Record<NoticeKind, NotificationType>> = {
  BUDGET_WARNING: "budget_warning",
  BUDGET_EXCEEDED: "budget_exceeded",
  FLEET_OVERLOAD: "fleet_overload",
  GOVERNANCE_ALERT: "governance_alert",
};

/** True when it is new: it was told now, and will not be again before it has ended. */
export async function raiseAlert(fleet: Fleet, tx: Tx, kind: NoticeKind, notice: Notice): Promise<boolean> {
  const episode = await openAlert(tx, kind, notice);
  if (episode === undefined) return false;
  fleet.log.warn({ event: "alert.raised", kind, key: notice.key }, notice.summary);
  await tell(fleet, tx, kind, { ...notice, state: "raised", episode });
  return true;
}

/** True when it was under way: its end was told now. */
export async function endAlert(fleet: Fleet, tx: Tx, kind: NoticeKind, key: string): Promise<boolean> {
  const alert = await closeAlert(tx, key);
  if (!alert) return false;
  const { tenantId, operatorId, facts, episode } = alert;
  const summary = `over: ${alert.summary}`;
  await tell(fleet, tx, kind, { key, tenantId, operatorId, subject: key, summary, facts, state: "ended", episode });
  return true;
}

type Told = Notice & { readonly state: "raised" | "ended"; readonly episode: number };

async function tell(fleet: Fleet, tx: Tx, kind: NoticeKind, told: Told): Promise<void> {
  await insertEvents(tx, [noticeEvent(kind, { ...told, at: fleet.clock() })]);
  const { channels, mute } = fleet.settings.notify;
  if (mute.includes(TYPES[kind])) return;
  const { type, summary, taskId: _none, ...facts } = composeNotification(TYPES[kind], null, { detail: told.summary });
  const key = `alert/${told.key}/${told.episode}/${told.state}`;
  await insertNotifications(tx, told, { key, type, summary, facts, channels });
}
