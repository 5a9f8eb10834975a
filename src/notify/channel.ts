/** What a channel is: one way to reach people or machines. It tries once and reports the outcome; others decide on retries. */
import type { z } from "zod";
import type { DeliveryOutcome } from "../domain/notify/delivery.ts";
import type { Notification } from "../domain/notify/notification.ts";

export interface Message {
  /** The notification's own id: the same for every try, so that receivers can recognise a repeat. */
  readonly id: string;
  readonly at: Date;
  readonly notification: Notification;
}

export interface Channel {
  readonly name: string;
  /** Never throws: a wrong target is a permanent outcome. */
  deliver: (message: Message, target: unknown, signal: AbortSignal) => Promise<DeliveryOutcome>;
}

type Deliver<Target> = (message: Message, target: Target, signal: AbortSignal) => Promise<DeliveryOutcome>;

/** A channel that is only asked to deliver to targets of its schema. */
export function defineChannel<Target>(name: string, schema: z.ZodType<Target>, deliver: Deliver<Target>): Channel {
  return {
    name,
    async deliver(message, target, signal) {
      if (target === undefined) return permanent("no target is set for this channel");
      const parsed = schema.safeParse(target);
      if (parsed.success) return deliver(message, parsed.data, signal);
      const problems = parsed.error.issues.map(({ path, message: problem }) => [...path, problem].join(": "));
      return permanent(`the target of this channel is not valid (${problems.join("; ")})`);
    },
  };
}

export function permanent(reason: string): DeliveryOutcome {
  return { kind: "permanent", reason };
}

export function retryable(reason: string, retryAfterMs?: number): DeliveryOutcome {
  return retryAfterMs === undefined ? { kind: "retryable", reason } : { kind: "retryable", reason, retryAfterMs };
}

/** The code and message of any error; addresses and keys are not in them. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown error";
  const code = "code" in error && typeof error.code === "string" ? `${error.code}: ` : "";
  return `${code}${error.message}`.slice(0, 300);
}
