/** Sends a real message through the operator's own channels, the same way as every other, so that they see if it arrives. */
import { setTimeout as pause } from "node:timers/promises";
import { CHANNELS, isChannelName } from "../../domain/notify/channels.ts";
import { composeNotification, type NotificationRow } from "../../domain/notify/notification.ts";
import type { Operator } from "../../domain/operator.ts";
import { WHOLE_TENANT } from "../../domain/tenant.ts";
import { listConfig } from "../../store/config.ts";
import { insertNotifications, listNotificationsByKey } from "../../store/notifications.ts";
import { auditBy } from "../../store/operators.ts";
import type { Tx } from "../../store/sql.ts";
import { channelTarget } from "../access/preferences.ts";
import type { Fleet } from "../fleet.ts";

const POLL_MS = 100;

export interface TestDelivery {
  readonly row: NotificationRow;
  /** False: no target is set for this channel. */
  readonly leads: boolean;
}

export interface NotifyTest {
  /** Whose choice of channels applies. */
  readonly chosenBy: "operator" | "tenant" | "fleet";
  readonly deliveries: readonly TestDelivery[];
}

/** The notifications are written in one transaction, then polled until each is settled or the time is over. */
export async function sendTestNotification(
  fleet: Fleet,
  by: Operator,
  { waitSeconds }: { readonly waitSeconds: number },
  signal: AbortSignal,
): Promise<NotifyTest> {
  const key = `test/${fleet.newId()}`;
  const { type, summary, taskId: _none, ...facts } = composeNotification("test", null, { detail: `asked by ${by.id}` });
  const sent = await fleet.store.as(by, async (tx) => {
    const to = { tenantId: by.tenantId, operatorId: by.id };
    await insertNotifications(tx, to, { key, type, summary, facts, channels: fleet.settings.notify.channels });
    const rows = await listNotificationsByKey(tx, key);
    const detail = { channels: rows.map(({ channel }) => channel) };
    await auditBy(tx, by, "notify.tested", detail);
    const leads = new Map<string, boolean>();
    for (const { channel } of rows) leads.set(channel, await hasTarget(fleet, tx, by, channel));
    return { chosenBy: await findChooser(tx, by), leads };
  });
  fleet.kickRelay();
  const rows = await waitUntilSettled(fleet, by, key, { untilMs: performance.now() + waitSeconds * 1_000, signal });
  return {
    chosenBy: sent.chosenBy,
    deliveries: rows.map((row) => ({ row, leads: sent.leads.get(row.channel) ?? false })),
  };
}

async function hasTarget(fleet: Fleet, tx: Tx, by: Operator, channel: string): Promise<boolean> {
  if (!isChannelName(channel)) return false;
  if (CHANNELS[channel].address === null) return true;
  const target = await channelTarget(fleet, tx, { tenantId: by.tenantId, operatorId: by.id }, channel);
  return target !== undefined;
}

async function findChooser(tx: Tx, { tenantId, id }: Operator): Promise<NotifyTest["chosenBy"]> {
  for (const [operatorId, chooser] of [
    [id, "operator"],
    [WHOLE_TENANT, "tenant"],
  ] as const) {
    const rows = await listConfig(tx, { tenantId, operatorId });
    if (rows.some(({ key }) => key === "notify.channels")) return chooser;
  }
  return "fleet";
}

async function waitUntilSettled(
  fleet: Fleet,
  by: Operator,
  key: string,
  { untilMs, signal }: { readonly untilMs: number; readonly signal: AbortSignal },
): Promise<NotificationRow[]> {
  for (;;) {
    const rows = await fleet.store.as(by, (tx) => listNotificationsByKey(tx, key));
    if (rows.every(({ status }) => status !== "pending") || signal.aborted || performance.now() >= untilMs) return rows;
    await pause(POLL_MS, undefined, { signal }).catch(() => {});
  }
}
