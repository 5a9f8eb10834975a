/** The compact form of a token: three parts that can be read in one way only. The signature is verified elsewhere. */
import { z } from "zod";

export interface CompactJwt {
  readonly header: z.output<typeof Header>;
  /** The issuer that it claims; not to be trusted before the signature is verified. */
  readonly issuer: unknown;
  readonly signature: Buffer;
}

const MAX_BYTES = 8_192;
const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;
const SIGNATURE_BYTES = 64;

/** The only allowed members of a header: no embedded keys (jwk, jku, x5u, x5c), no extensions (crit). */
const Header = z.strictObject({
  alg: z.literal("ES256"),
  kid: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/),
  typ: z.string(),
});
const Payload = z.looseObject({ iss: z.unknown() });

/** Undefined if it is not a token, or if two parsers could read it in two ways. */
export function parseCompactJwt(token: string): CompactJwt | undefined {
  if (token.length > MAX_BYTES || !COMPACT.test(token)) return undefined;
  const [head, body, signature] = token.split(".").map(decodePart);
  if (!head || !body || signature?.length !== SIGNATURE_BYTES) return undefined;
  const header = Header.safeParse(parseUniqueJson(head));
  const payload = Payload.safeParse(parseUniqueJson(body));
  if (!header.success || !payload.success) return undefined;
  return { header: header.data, issuer: payload.data.iss, signature };
}

/** Only the canonical encoding: other characters may decode to the same bytes. */
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

/** Whether an object in this valid JSON has a member twice: one parser would use the first, another the last. */
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

/** If (r, s) is a valid signature, so is (r, n - s). Only the lower s is accepted, so that a token has no second form. */
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
