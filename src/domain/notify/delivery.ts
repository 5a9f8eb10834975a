/** Decides what follows an attempt to deliver a notification: finish, retry later, or fall back to the terminal. */
import { NO_TASK, type Notification, NOTIFICATION_KINDS, type NotificationSeverity } from "./notification.ts";

export type DeliveryOutcome =
  | { readonly kind: "delivered" }
  /** The world may fix it. `retryAfterMs`: what the receiver asked for. */
  | { readonly kind: "retryable"; readonly reason: string; readonly retryAfterMs?: number | undefined }
  /** A later try would fail as well: a wrong address, a revoked key, a body that the receiver rejects. */
  | { readonly kind: "permanent"; readonly reason: string };

export interface DeliveryPolicy {
  readonly maxTries: number;
  readonly baseMs: number;
  readonly capMs: number;
  /** The longest wait between two tries, whatever the receiver requests. */
  readonly maxWaitMs: number;
  /** Messages per channel and minute; more are combined into one summary. */
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
  /** Show it on the terminal instead, with the reason. */
  | { readonly do: "fall-back"; readonly reason: string };

/** `tries` includes this one: it is 1 after the first try. */
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
  // Half of the backoff is random, so that messages that failed together are not retried together.
  const jitteredMs = backoffMs / 2 + (backoffMs / 2) * at.random;
  const waitMs = Math.min(Math.max(jitteredMs, outcome.retryAfterMs ?? 0), policy.maxWaitMs);
  return { do: "retry", at: new Date(at.now.getTime() + Math.ceil(waitMs)) };
}

/** Parses a Retry-After header, which is a number of seconds or a date; undefined when it is neither. */
export function parseRetryAfter(value: string | undefined, now: Date): number | undefined {
  if (value === undefined || value.length > 64) return undefined;
  if (/^[0-9]{1,9}(?:\.[0-9]{1,6})?$/.test(value)) return Math.ceil(Number(value) * 1_000);
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now.getTime());
}

export type CoalescingDecision =
  | { readonly do: "send" }
  /** Collect the notifications until then and send one summary. */
  | { readonly do: "summarise"; readonly at: Date };

const MINUTE_MS = 60_000;

/** `sentAt` lists when this channel was used for this receiver, in any order. */
export function decideCoalescing(
  sentAt: readonly Date[],
  now: Date,
  policy: DeliveryPolicy = DELIVERY_POLICY,
): CoalescingDecision {
  const recent = sentAt.map((date) => date.getTime()).filter((time) => time > now.getTime() - MINUTE_MS);
  if (recent.length < policy.burst) return { do: "send" };
  // The next slot frees up when the oldest of the last `burst` messages leaves the sliding minute.
  const freeing = recent.toSorted((a, b) => a - b)[recent.length - policy.burst] ?? now.getTime();
  return { do: "summarise", at: new Date(freeing + MINUTE_MS) };
}

const WORST_FIRST: readonly NotificationSeverity[] = ["bad", "attention", "good"];

/** Combines several notifications into one of the most severe type, whose summary counts all of them. */
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
