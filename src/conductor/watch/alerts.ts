/** Alerts about the fleet: the row of the episode, the event and the notifications, in one transaction. */
import type { AlertContent, AlertKind } from "../../domain/notify/alert.ts";
import { alertEvent } from "../../domain/notify/alert.ts";
import type { NotificationType } from "../../domain/notify/notification.ts";
import { closeAlert, listOpenAlerts, openAlert } from "../../store/alerts.ts";

import { insertEvents } from "../../store/outbox.ts";
import type { Tx } from "../../store/sql.ts";
import type { Fleet } from "../fleet.ts";
import { notifyAboutFleet } from "../notify/about-fleet.ts";

const NOTIFICATION_TYPES: Readonly<Record<AlertKind, NotificationType>> = {
  BUDGET_WARNING: "budget_warning",
  BUDGET_EXCEEDED: "budget_exceeded",
  FLEET_OVERLOAD: "fleet_overload",
  GOVERNANCE_ALERT: "governance_alert",
};

/** True when the alert is new; while it is open it is not reported again. */
export async function raiseAlert(fleet: Fleet, tx: Tx, kind: AlertKind, notice: AlertContent): Promise<boolean> {
  const episode = await openAlert(tx, kind, notice);
  if (episode === undefined) return false;
  fleet.log.warn({ event: "alert.raised", kind, key: notice.key }, notice.summary);
  await publishAlert(fleet, tx, kind, { ...notice, state: "raised", episode });
  return true;
}

/** True when the alert was open; its end is reported. */
export async function endAlert(fleet: Fleet, tx: Tx, kind: AlertKind, key: string): Promise<boolean> {
  const alert = await closeAlert(tx, key);
  if (!alert) return false;
  const { tenantId, operatorId, facts, episode } = alert;
  const content = { key, tenantId, operatorId, subject: key, summary: `resolved: ${alert.summary}`, facts };
  await publishAlert(fleet, tx, kind, { ...content, state: "ended", episode });
  return true;
}

/** Raises these alerts, and ends the open ones with the same prefix that are not among them. */
export async function syncAlerts(fleet: Fleet, tx: Tx, prefix: string, alerts: readonly AlertContent[]): Promise<void> {
  for (const alert of alerts) await raiseAlert(fleet, tx, "GOVERNANCE_ALERT", alert);
  const keys = new Set(alerts.map(({ key }) => key));
  for (const { key } of await listOpenAlerts(tx, ["GOVERNANCE_ALERT"])) {
    if (key.startsWith(prefix) && !keys.has(key)) await endAlert(fleet, tx, "GOVERNANCE_ALERT", key);
  }
}

type AlertChange = AlertContent & { readonly state: "raised" | "ended"; readonly episode: number };

async function publishAlert(fleet: Fleet, tx: Tx, kind: AlertKind, alert: AlertChange): Promise<void> {
  await insertEvents(tx, [alertEvent(kind, { ...alert, at: fleet.clock() })]);
  const key = `alert/${alert.key}/${alert.episode}/${alert.state}`;
  await notifyAboutFleet(fleet, tx, alert, { type: NOTIFICATION_TYPES[kind], key, detail: alert.summary });
}
