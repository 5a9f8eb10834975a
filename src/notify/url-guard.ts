/** Checks which URLs a webhook may use. A name is resolved once, here; the socket then connects to the address that was checked. */
import { lookup as systemLookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";
import { checkWebhookUrl } from "../domain/text/webhook-url.ts";

export interface GuardOptions {
  /** For receivers in a private network. */
  readonly allowPrivate?: boolean;
  readonly allowHttp?: boolean;
  readonly resolve?: (host: string) => Promise<readonly Address[]>;
}

export interface Address {
  readonly address: string;
  readonly family: number;
}

export interface GuardedUrl {
  readonly url: URL;
  /** The only address to connect to. */
  readonly address: Address;
}

/** The URL must be changed; another try will not help. */
export class UrlRefusedError extends Error {
  override readonly name = "UrlRefusedError";
}

export async function guardUrl(text: string, options: GuardOptions = {}): Promise<GuardedUrl> {
  const fault = checkWebhookUrl(text, options);
  if (fault !== undefined) throw new UrlRefusedError(fault);
  const url = new URL(text);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const family = isIP(host);
  const addresses = family === 0 ? await (options.resolve ?? resolveBySystem)(host) : [{ address: host, family }];
  if (addresses.length === 0) throw new Error(`${host} has no address`);
  if (!options.allowPrivate) {
    // One private address among public ones is refused as well: which of them is used cannot be foreseen.
    const privateAddress = addresses.find(({ address }) => !isPublicAddress(address));
    if (privateAddress)
      throw new UrlRefusedError(`${host} is at ${privateAddress.address}, which is not a public address`);
  }
  const [address] = addresses;
  if (!address) throw new Error(`${host} has no address`);
  return { url, address };
}

async function resolveBySystem(host: string): Promise<readonly Address[]> {
  return systemLookup(host, { all: true, verbatim: true });
}

const NOT_PUBLIC_V4 = new BlockList();
for (const [net, prefix] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
] as const) {
  NOT_PUBLIC_V4.addSubnet(net, prefix, "ipv4");
}

/** Only 2000::/3 is allocated for the internet, which excludes loopback, mapped, NAT64, link-local and unique-local. */
const GLOBAL_V6 = new BlockList();
GLOBAL_V6.addSubnet("2000::", 3, "ipv6");
/** Exceptions within it: Teredo and other special uses, documentation, 6to4. */
const NOT_PUBLIC_V6 = new BlockList();
for (const [net, prefix] of [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
] as const) {
  NOT_PUBLIC_V6.addSubnet(net, prefix, "ipv6");
}

export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 4) return !NOT_PUBLIC_V4.check(address, "ipv4");
  if (family !== 6 || address.includes("%")) return false;
  return GLOBAL_V6.check(address, "ipv6") && !NOT_PUBLIC_V6.check(address, "ipv6");
}
