/** What becomes of a try to deliver a notification: done, later, or over to the terminal. Decisions only. */
import { NO_TASK, type Notification, NOTIFICATION_KINDS, type NotificationSeverity } from "./notification.ts";

export type DeliveryOutcome =
  | { readonly kind: "delivered" }
  /** The world may fix it. `retryAfterMs`: what the receiver asked for. */
  | { readonly kind: "retryable"; readonly reason: string; readonly retryAfterMs?: number | undefined }
  /** Asking again would be refused again: a wrong address, a revoked key, a body it does not take. */
  | { readonly kind: "permanent"; readonly reason: string };

export interface DeliveryPolicy {
  readonly maxTries: number;
  readonly baseMs: number;
  readonly capMs: number;
  /** Nobody waits longer than this, whatever a receiver asks for. */
  readonly maxWaitMs: number;
  /** Per channel and minute; more become one summary. */
  readonly burst: number;
}

export const DELIVERY_POLICY: DeliveryPolicy = {
  maxTries: 6,
  baseMs: 1_000,
  capMs: 30_000,
  maxWaitMs: 15 * 60_000,
  burst: 20,
};

export type DeliveryDecision =
  | { readonly do: "finish" }
  | { readonly do: "retry"; readonly at: Date }
  /** Tell it on the terminal instead, and say there why. */
  | { readonly do: "fall-back"; readonly reason: string };

/** `tries` counts this one: 1 after the first. */
export function decideDelivery(
  outcome: DeliveryOutcome,
  tries: number,
  at: { readonly now: Date; readonly random: number },
  policy: DeliveryPolicy = DELIVERY_POLICY,
): DeliveryDecision {
  if (outcome.kind === "delivered") return { do: "finish" };
  if (outcome.kind === "permanent") return { do: "fall-back", reason: outcome.reason };
  if (tries >= policy.maxTries)
    return { do: "fall-back", reason: `${tries} tries failed, the last: ${outcome.reason}` };
  const backoffMs = Math.min(policy.baseMs * 2 ** Math.min(tries - 1, 30), policy.capMs);
  // Half of it by lot, so that many messages that failed together do not come back together.
  const jitteredMs = backoffMs / 2 + (backoffMs / 2) * at.random;
  const waitMs = Math.min(Math.max(jitteredMs, outcome.retryAfterMs ?? 0), policy.maxWaitMs);
  return { do: "retry", at: new Date(at.now.getTime() + Math.ceil(waitMs)) };
}

/** Seconds or a date, as HTTP allows; undefined when it is neither. */
export function parseRetryAfter(value: string | undefined, now: Date): number | undefined {
  if (value === undefined || value.length > 64) return undefined;
  if (/^[0-9]{1,9}(?:\.[0-9]{1,6})?$/.test(value)) return Math.ceil(Number(value) * 1_000);
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now.getTime());
}

export type CoalescingDecision =
  | { readonly do: "send" }
  /** Collect what comes until then and send one summary. */
  | { readonly do: "summarise"; readonly at: Date };

const MINUTE_MS = 60_000;

/** `sentAt`: when this channel was last used for this receiver, in any order. */
export function decideCoalescing(
  sentAt: readonly Date[],
  now: Date,
  policy: DeliveryPolicy = DELIVERY_POLICY,
): CoalescingDecision {
  const recent = sentAt.map((date) => date.getTime()).filter((time) => time > now.getTime() - MINUTE_MS);
  if (recent.length < policy.burst) return { do: "send" };
  // The first slot of the sliding minute that comes free.
  const freeing = recent.toSorted((a, b) => a - b)[recent.length - policy.burst] ?? now.getTime();
  return { do: "summarise", at: new Date(freeing + MINUTE_MS) };
}

const WORST_FIRST: readonly NotificationSeverity[] = ["bad", "attention", "good"];

/** One notification for many: the worst type speaks, the summary counts them all. */
export function summarise(notifications: readonly Notification[]): Notification | undefined {
  const counts = new Map<Notification["type"], number>();
  for (const { type } of notifications) counts.set(type, (counts.get(type) ?? 0) + 1);
  const types = [...counts].toSorted(
    ([a], [b]) =>
      WORST_FIRST.indexOf(NOTIFICATION_KINDS[a].severity) - WORST_FIRST.indexOf(NOTIFICATION_KINDS[b].severity),
  );
  const worst = types[0]?.[0];
  if (worst === undefined) return undefined;
  const counted = types.map(([type, count]) => `${count} ${type}`).join(", ");
  return {
    type: worst,
    summary: `${notifications.length} notifications in a short time: ${counted}`,
    command: "fleet ps --all",
    ...NO_TASK,
  };
}
