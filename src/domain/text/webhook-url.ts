/** How a webhook's URL may be written. Where its name leads is judged when it is dialled. */
import { z } from "zod";

export interface WebhookUrlOptions {
  /** For receivers in one's own network. */
  readonly allowPrivate?: boolean | undefined;
  readonly allowHttp?: boolean | undefined;
}

const MAX_URL_CHARS = 2_048;

/** What is wrong with it, or nothing. Says no more of the URL than its scheme and host. */
export function checkWebhookUrl(text: string, { allowPrivate, allowHttp }: WebhookUrlOptions = {}): string | undefined {
  if (text.length > MAX_URL_CHARS) return `the URL is longer than ${MAX_URL_CHARS} characters`;
  // The parser would drop or turn these silently, so that what is read is not what was written.
  if (/[^!-~]/.test(text) || text.includes("\\")) {
    return "the URL holds blanks, control characters, backslashes or letters outside ASCII";
  }
  if (!URL.canParse(text)) return "this is not a URL";
  const { protocol, hostname } = new URL(text);
  const isAllowedProtocol = protocol === "https:" || (protocol === "http:" && allowHttp === true);
  if (!isAllowedProtocol) return `only https is allowed, not ${protocol.slice(0, -1)}`;
  if (/^[a-z]+:\/{0,8}[^/?#]*@/i.test(text)) return "the URL holds a user name or password";
  if (!allowPrivate && isLocalName(hostname)) return `${hostname} is a local name`;
  return undefined;
}

/** As settings hold it. */
export const WebhookUrl = z.string().superRefine((text, context) => {
  const message = checkWebhookUrl(text);
  if (message !== undefined) context.addIssue({ code: "custom", message });
});

/** Names that never leave a machine or its network; a bare word is looked up in the search domains. */
function isLocalName(hostname: string): boolean {
  const host = hostname.replace(/\.+$/, "");
  // As the parser writes addresses, however they were spelt.
  if (host.startsWith("[") || /^\d+\.\d+\.\d+\.\d+$/.test(host)) return false;
  if (!host.includes(".")) return true;
  return /\.(?:localhost|local|internal|intranet|lan|home|corp|private|localdomain|arpa|test|invalid|onion)$/.test(
    host,
  );
}
