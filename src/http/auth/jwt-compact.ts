/**
 * The text of a token, before its signature is checked: three parts that can be read in one way only. jose reads the same
 * text leniently, which opens two attacks. A claim that stands twice: an issuer, or a proxy in front of us, checks the first
 * and we obey the last. A second text for one token: it passes any list of revoked, leaked or masked token texts.
 */
import { z } from "zod";

export interface CompactJwt {
  readonly header: z.output<typeof Header>;
  /** As the token claims; not to be trusted before the signature is checked. */
  readonly issuer: unknown;
  readonly signature: Buffer;
}

const MAX_BYTES = 8_192;
const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;
const SIGNATURE_BYTES = 64;

/** A header holds exactly these: no embedded keys (jwk, jku, x5u, x5c), no extensions (crit). */
const Header = z.strictObject({
  alg: z.literal("ES256"),
  kid: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/),
  typ: z.string(),
});
const Payload = z.looseObject({ iss: z.unknown() });

/** Undefined when the text is no token, or two parsers could read it differently. */
export function parseCompactJwt(token: string): CompactJwt | undefined {
  if (token.length > MAX_BYTES || !COMPACT.test(token)) return undefined;
  const [head, body, signature] = token.split(".").map(decodePart);
  if (!head || !body || signature?.length !== SIGNATURE_BYTES) return undefined;
  const header = Header.safeParse(parseUniqueJson(head));
  const payload = Payload.safeParse(parseUniqueJson(body));
  if (!header.success || !payload.success) return undefined;
  return { header: header.data, issuer: payload.data.iss, signature };
}

/** Undefined unless the text is the canonical one: other last letters, and padding, decode to the same bytes. */
function decodePart(part: string): Buffer | undefined {
  const bytes = Buffer.from(part, "base64url");
  return bytes.toString("base64url") === part ? bytes : undefined;
}

function parseUniqueJson(bytes: Buffer): unknown {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    const value: unknown = JSON.parse(text);
    return hasDuplicateKeys(text) ? undefined : value;
  } catch {
    return undefined;
  }
}

/** Whether an object of this valid JSON names a member twice. JSON.parse takes the last one, other parsers the first. */
function hasDuplicateKeys(text: string): boolean {
  const open: { names: Set<string> | undefined; named: boolean }[] = [];
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],]/g)) {
    const top = open.at(-1);
    if (token === "{") open.push({ names: new Set(), named: false });
    else if (token === "[") open.push({ names: undefined, named: false });
    else if (token === "}" || token === "]") open.pop();
    else if (token === "," && top) top.named = false;
    else if (top?.names && !top.named) {
      const name = String(JSON.parse(token));
      if (top.names.has(name)) return true;
      top.names.add(name);
      top.named = true;
    }
  }
  return false;
}

/** Of P-256. */
const CURVE_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const HALF_ORDER = CURVE_ORDER / 2n;

/** If a signature (r, s) verifies, (r, n - s) does too. Ours always have the smaller s, so each token has one valid text. */
export function hasLowS(signature: Buffer): boolean {
  return BigInt(`0x${signature.subarray(SIGNATURE_BYTES / 2).toString("hex")}`) <= HALF_ORDER;
}

export function toLowS(token: string): string {
  const at = token.lastIndexOf(".") + 1;
  const signature = Buffer.from(token.slice(at), "base64url");
  if (hasLowS(signature)) return token;
  const s = CURVE_ORDER - BigInt(`0x${signature.subarray(SIGNATURE_BYTES / 2).toString("hex")}`);
  signature.write(s.toString(16).padStart(SIGNATURE_BYTES, "0"), SIGNATURE_BYTES / 2, "hex");
  return token.slice(0, at) + signature.toString("base64url");
}
