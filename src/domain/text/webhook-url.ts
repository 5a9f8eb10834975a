/** Validates the form of a webhook URL. The address that its host name resolves to is checked when connecting. */
import { z } from "zod";

export interface WebhookUrlOptions {
  /** Allows receivers in the local network. */
  readonly allowPrivate?: boolean | undefined;
  readonly allowHttp?: boolean | undefined;
}

const MAX_URL_CHARS = 2_048;

/** Returns what is wrong with the URL; undefined if nothing is. The message reveals no more than scheme and host, because the rest may be secret. */
export function checkWebhookUrl(text: string, { allowPrivate, allowHttp }: WebhookUrlOptions = {}): string | undefined {
  if (text.length > MAX_URL_CHARS) return `the URL is longer than ${MAX_URL_CHARS} characters`;
  // The parser would silently drop or convert these characters, so that the parsed URL would differ from the written one.
  if (/[^!-~]/.test(text) || text.includes("\\")) {
    return "the URL contains blanks, control characters, backslashes or non-ASCII letters";
  }
  if (!URL.canParse(text)) return "this is not a URL";
  const { protocol, hostname } = new URL(text);
  const isAllowedProtocol = protocol === "https:" || (protocol === "http:" && allowHttp === true);
  if (!isAllowedProtocol) return `only https is allowed, not ${protocol.slice(0, -1)}`;
  if (/^[a-z]+:\/{0,8}[^/?#]*@/i.test(text)) return "the URL contains a user name or password";
  if (!allowPrivate && isLocalName(hostname)) return `${hostname} is a local name`;
  return undefined;
}

/** The schema for webhook URLs in settings. */
export const WebhookUrl = z.string().superRefine((text, context) => {
  const message = checkWebhookUrl(text);
  if (message !== undefined) context.addIssue({ code: "custom", message });
});

/** Detects names that resolve only on the machine or its network; a bare word would be resolved in the search domains. */
function isLocalName(hostname: string): boolean {
  const host = hostname.replace(/\.+$/, "");
  // The parser normalises IP addresses to these forms; they are checked when connecting.
  if (host.startsWith("[") || /^\d+\.\d+\.\d+\.\d+$/.test(host)) return false;
  if (!host.includes(".")) return true;
  return /\.(?:localhost|local|internal|intranet|lan|home|corp|private|localdomain|arpa|test|invalid|onion)$/.test(
    host,
  );
}
