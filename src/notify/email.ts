/** E-mail through an SMTP server: text and HTML of the same words. Says nothing about whether it was read. */
import { createTransport } from "nodemailer";
import { z } from "zod";
import { withSignal } from "../domain/abort.ts";
import type { DeliveryOutcome } from "../domain/notify/delivery.ts";
import { escapeForTerminal } from "../domain/text/escape.ts";
import { NOTIFICATION_KINDS, SEVERITY_COLOUR, type Notification } from "../domain/notify/notification.ts";
import { escapeHtml } from "../domain/text/html.ts";
import { type Channel, type Message, permanent, reasonOf, retryable } from "./channel.ts";

export const EmailTarget = z.strictObject({ to: z.email().max(254) });
export type EmailTarget = z.infer<typeof EmailTarget>;

export interface EmailOptions {
  /** `smtp://` or `smtps://`, with user and password when the server wants them. */
  readonly smtpUrl: string;
  /** A plain address: its domain also ends the message ids. */
  readonly from: string;
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 10_000;

export function emailChannel(options: EmailOptions): Channel {
  return {
    name: "email",
    async deliver(message, target, signal) {
      const parsed = EmailTarget.safeParse(target);
      if (!parsed.success) return permanent("the e-mail settings need one address in `to`");
      const mail = composeMail(message, options.from, parsed.data.to);
      const breaking = Object.values(mail.headers).find((value) => /[\r\n\0]/.test(value));
      if (breaking !== undefined) return permanent("a header field holds a line break");
      return sendMail(mail, options, signal);
    },
  };
}

interface Mail {
  readonly headers: {
    readonly from: string;
    readonly to: string;
    readonly subject: string;
    readonly messageId: string;
  };
  readonly text: string;
  readonly html: string;
}

async function sendMail(
  { headers, text, html }: Mail,
  options: EmailOptions,
  signal: AbortSignal,
): Promise<DeliveryOutcome> {
  const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  const transport = createTransport({
    url: options.smtpUrl,
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    dnsTimeout: timeoutMs,
    // Text of others must never make the mailer read a file or fetch a page.
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const combined = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  try {
    await withSignal(combined, transport.sendMail({ ...headers, text, html }));
    return { kind: "delivered" };
  } catch (error) {
    return combined.aborted ? retryable("the mail server took too long") : classifyMailError(error);
  } finally {
    transport.close();
  }
}

/** SMTP's own rule: 4xx may pass, 5xx will not. Without an answer the network is at fault. */
function classifyMailError(error: unknown): DeliveryOutcome {
  const status = error instanceof Error && "responseCode" in error ? error.responseCode : undefined;
  if (typeof status === "number" && status >= 500) return permanent(`the mail server refuses it (${status})`);
  if (typeof status === "number") return retryable(`the mail server answers ${status}`);
  return retryable(reasonOf(error));
}

/** The id follows from the notification's, so that a repeat is recognised by mail programs and servers. */
export function composeMail({ id, at, notification }: Message, from: string, to: string): Mail {
  const { title } = NOTIFICATION_KINDS[notification.type];
  return {
    headers: {
      from,
      to,
      subject: `[fleet] ${title}: ${notification.summary}`.slice(0, 200).toWellFormed(),
      messageId: `<${id}@${from.slice(from.lastIndexOf("@") + 1)}>`,
    },
    text: `${[notification.summary, ...detailLines(notification, at)].map(escapeForTerminal).join("\n")}\n`,
    html: renderHtml(notification, at),
  };
}

function detailLines(notification: Notification, at: Date): string[] {
  const { taskId, branch, attempt, cost, prUrl, command } = notification;
  return [
    `Type: ${notification.type}`,
    `Time: ${at.toISOString()}`,
    ...(taskId === null ? [] : [`Task: ${taskId}`]),
    ...(branch === null ? [] : [`Branch: ${branch}`]),
    ...(attempt === null ? [] : [`Attempt: ${attempt + 1}`]),
    ...(cost === null ? [] : [`Cost: $${cost.toFixed(2)}`]),
    ...(prUrl === null ? [] : [`Pull request: ${prUrl}`]),
    `Next: ${command}`,
  ];
}

function renderHtml(notification: Notification, at: Date): string {
  const colour = SEVERITY_COLOUR[NOTIFICATION_KINDS[notification.type].severity];
  const items = detailLines(notification, at).map((line) => `<li>${escapeHtml(escapeForTerminal(line))}</li>`);
  return [
    `<div style="border-left:4px solid ${colour};padding-left:12px;font-family:sans-serif">`,
    `<p><strong>${escapeHtml(escapeForTerminal(notification.summary))}</strong></p>`,
    `<ul>${items.join("")}</ul>`,
    "</div>",
  ].join("\n");
}
