/** Any HTTPS receiver: the notification as JSON, signed, so that the receiver can tell who sent it, when, and if twice. */
import { createHmac } from "node:crypto";
import { z } from "zod";
import { withSignal } from "../domain/abort.ts";
import { type DeliveryOutcome, parseRetryAfter } from "../domain/notify/delivery.ts";
import { type Channel, type Message, permanent, reasonOf, retryable } from "./channel.ts";
import { type PostResponse, post } from "./post.ts";
import { type GuardOptions, guardUrl, UrlRefusedError } from "./url-guard.ts";

export const WebhookTarget = z.strictObject({
  url: z.string().min(1).max(2_048),
  /** Shared with the receiver; signs every body. */
  secret: z.string().min(16).max(512),
});
export type WebhookTarget = z.infer<typeof WebhookTarget>;

export interface WebhookOptions extends GuardOptions {
  readonly clock: () => Date;
  readonly ca?: string | undefined;
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 5_000;

export function webhookChannel(options: WebhookOptions): Channel {
  return {
    name: "webhook",
    async deliver(message, target, signal) {
      const parsed = WebhookTarget.safeParse(target);
      if (!parsed.success)
        return permanent("the webhook's settings need a `url` and a `secret` of at least 16 characters");
      try {
        return await sendWebhook(message, parsed.data, options, signal);
      } catch (error) {
        return classifyError(error);
      }
    },
  };
}

async function sendWebhook(
  message: Message,
  { url, secret }: WebhookTarget,
  options: WebhookOptions,
  signal: AbortSignal,
): Promise<DeliveryOutcome> {
  const timeout = AbortSignal.any([signal, AbortSignal.timeout(options.timeoutMs ?? TIMEOUT_MS)]);
  // A lookup at a name server cannot be cancelled; nothing has to wait for it.
  const guarded = await withSignal(timeout, guardUrl(url, options));
  const body = webhookBody(message);
  const timestamp = String(Math.floor(options.clock().getTime() / 1_000));
  const headers = {
    "content-type": "application/json",
    "user-agent": "fleetwright",
    "fleet-webhook-id": message.id,
    "fleet-webhook-timestamp": timestamp,
    "fleet-webhook-signature": signWebhook(secret, timestamp, body),
  };
  const response = await post(guarded, { headers, body, signal: timeout, ca: options.ca });
  return classifyResponse(response, options.clock());
}

export function webhookBody({ id, at, notification }: Message): string {
  return JSON.stringify({ id, at: at.toISOString(), ...notification });
}

/** `v1=` and the hex HMAC-SHA256 of `<timestamp>.<body>`. Receivers refuse timestamps older than a few minutes. */
export function signWebhook(secret: string, timestamp: string, body: string): string {
  return `v1=${createHmac("sha256", secret).update(`${timestamp}.${body}`).digest("hex")}`;
}

function classifyResponse({ status, retryAfter }: PostResponse, now: Date): DeliveryOutcome {
  if (status >= 200 && status < 300) return { kind: "delivered" };
  if (status >= 300 && status < 400) return permanent(`the receiver redirects (${status}), which is not followed`);
  const mayPass = status === 408 || status === 425 || status === 429 || status >= 500;
  if (!mayPass) return permanent(`the receiver refuses it (${status})`);
  return retryable(`the receiver answers ${status}`, parseRetryAfter(retryAfter, now));
}

/** A certificate does not mend itself within the time of our tries. */
const BAD_CERTIFICATE = /^(?:CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|ERR_TLS_CERT|HOSTNAME_MISMATCH)/;

function classifyError(error: unknown): DeliveryOutcome {
  if (error instanceof UrlRefusedError) return permanent(error.message);
  if (error instanceof Error && "code" in error && typeof error.code === "string" && BAD_CERTIFICATE.test(error.code)) {
    return permanent(`the receiver's certificate is not valid (${error.code})`);
  }
  return retryable(reasonOf(error));
}
