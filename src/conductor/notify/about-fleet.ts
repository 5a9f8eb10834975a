/** Notifications about the fleet itself rather than one task: alerts and drift. */
import { composeNotification, type NotificationType } from "../../domain/notify/notification.ts";
import { insertNotifications } from "../../store/notifications.ts";
import type { Tx } from "../../store/sql.ts";
import type { Fleet } from "../fleet.ts";

interface FleetNotification {
  readonly type: NotificationType;
  /** A second notification with the same key is not sent. */
  readonly key: string;
  readonly detail: string;
}

/** Written with the rows that are the reason for it, to the channels of fleet.yaml, unless that type is muted there. */
export async function notifyAboutFleet(
  fleet: Fleet,
  tx: Tx,
  owner: { readonly tenantId: string; readonly operatorId: string },
  { type, key, detail }: FleetNotification,
): Promise<void> {
  const { channels, mute } = fleet.settings.notify;
  if (mute.includes(type)) return;
  const { type: _same, taskId: _none, summary, ...facts } = composeNotification(type, null, { detail });
  await insertNotifications(tx, owner, { key, type, summary, facts, channels });
}
