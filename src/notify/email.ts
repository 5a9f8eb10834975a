/** E-mail through an SMTP server, as text and HTML with the same content. Delivered means that the server accepted it. */
import { createTransport } from "nodemailer";
import { withSignal } from "../domain/abort.ts";
import { CHANNELS } from "../domain/notify/channels.ts";
import type { DeliveryOutcome } from "../domain/notify/delivery.ts";
import { escapeForTerminal } from "../domain/text/escape.ts";
import { NOTIFICATION_KINDS, SEVERITY_COLOUR, type Notification } from "../domain/notify/notification.ts";
import { escapeHtml } from "../domain/text/html.ts";
import { type Channel, defineChannel, type Message, permanent, reasonOf, retryable } from "./channel.ts";

export interface EmailOptions {
  /** `smtp://` or `smtps://`, with user and password when the server requires them. */
  readonly smtpUrl: string;
  /** A plain address: its domain also ends the message ids. */
  readonly from: string;
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 10_000;

export function emailChannel(options: EmailOptions): Channel {
  return defineChannel("email", CHANNELS.email.target, async (message, { to }, signal) => {
    const mail = composeMail(message, options.from, to);
    const breaking = Object.values(mail.headers).find((value) => /[\r\n\0]/.test(value));
    if (breaking !== undefined) return permanent("a header field holds a line break");
    return sendMail(mail, options, signal);
  });
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
    // Untrusted text must never make the mailer read a file or fetch a page.
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

/** SMTP defines 4xx as temporary and 5xx as permanent. Without an answer the network is at fault. */
function classifyMailError(error: unknown): DeliveryOutcome {
  const status = error instanceof Error && "responseCode" in error ? error.responseCode : undefined;
  if (typeof status === "number" && status >= 500) return permanent(`the mail server refuses it (${status})`);
  if (typeof status === "number") return retryable(`the mail server answers ${status}`);
  return retryable(reasonOf(error));
}

/** The message id is made from the notification's, so that mail programs and servers recognise a repeat. */
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
