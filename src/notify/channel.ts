/** What a channel is: one way to reach people or machines. It tries once and says how that went; others decide. */
import type { DeliveryOutcome } from "../domain/notify/delivery.ts";
import type { Notification } from "../domain/notify/notification.ts";

export type ChannelName = "terminal" | "webhook" | "email";

export interface Message {
  /** The notification's own id: the same for every try, so that receivers can tell a repeat. */
  readonly id: string;
  readonly at: Date;
  readonly notification: Notification;
}

export interface Channel {
  readonly name: ChannelName;
  /** `target` is the receiver's setting for this channel, read here. Never throws: a wrong target is a permanent outcome. */
  deliver: (message: Message, target: unknown, signal: AbortSignal) => Promise<DeliveryOutcome>;
}

export function permanent(reason: string): DeliveryOutcome {
  return { kind: "permanent", reason };
}

export function retryable(reason: string, retryAfterMs?: number): DeliveryOutcome {
  return retryAfterMs === undefined ? { kind: "retryable", reason } : { kind: "retryable", reason, retryAfterMs };
}

/** The code and message of whatever was thrown; addresses and keys are not in them. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown error";
  const code = "code" in error && typeof error.code === "string" ? `${error.code}: ` : "";
  return `${code}${error.message}`.slice(0, 300);
}
