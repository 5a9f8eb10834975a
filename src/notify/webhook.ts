/** Sends to any HTTPS receiver: the notification as signed JSON, so that the receiver can check sender, time and repeats. */
import { createHmac } from "node:crypto";
import { withSignal } from "../domain/abort.ts";
import { CHANNELS } from "../domain/notify/channels.ts";
import type { z } from "zod";
import { type DeliveryOutcome, parseRetryAfter } from "../domain/notify/delivery.ts";
import { type Channel, defineChannel, type Message, permanent, reasonOf, retryable } from "./channel.ts";
import { type HttpOptions, type PostResponse, post } from "./post.ts";
import { guardUrl, UrlRefusedError } from "./url-guard.ts";

type WebhookTarget = z.infer<typeof CHANNELS.webhook.target>;

const TIMEOUT_MS = 5_000;

export function webhookChannel(options: HttpOptions): Channel {
  return defineChannel("webhook", CHANNELS.webhook.target, async (message, target, signal) => {
    try {
      return await sendWebhook(message, target, options, signal);
    } catch (error) {
      return classifyError(error);
    }
  });
}

async function sendWebhook(
  message: Message,
  { url, secret }: WebhookTarget,
  options: HttpOptions,
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

/** A certificate does not fix itself within the time of our tries. */
const BAD_CERTIFICATE = /^(?:CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|ERR_TLS_CERT|HOSTNAME_MISMATCH)/;

function classifyError(error: unknown): DeliveryOutcome {
  if (error instanceof UrlRefusedError) return permanent(error.message);
  if (error instanceof Error && "code" in error && typeof error.code === "string" && BAD_CERTIFICATE.test(error.code)) {
    return permanent(`the receiver's certificate is not valid (${error.code})`);
  }
  return retryable(reasonOf(error));
}
