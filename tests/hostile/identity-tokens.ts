/** Forged tokens: from a case as data to the text that is sent. */
import { createHmac, createPrivateKey, sign as signBytes } from "node:crypto";
import { exportJWK, exportSPKI, type JWK } from "jose";
import { z } from "zod";
import type { SigningKey } from "../../src/http/auth/tokens.ts";
import { About } from "./cases.ts";

const Members = z.record(z.string(), z.unknown());

export const TokenCase = z.strictObject({
  ...About,
  /** Merged into those of a valid token; null removes one. */
  header: Members.default({}),
  claims: Members.default({}),
  /** Raw text that a JSON serializer would not write. */
  raw: z.record(z.string(), z.string()).default({}),
  /** A repeated header, after the valid one. */
  twice: z.record(z.string(), z.string()).default({}),
  twiceHeader: z.record(z.string(), z.string()).default({}),
  body: z.string().optional(),
  latin1: z.boolean().default(false),
  pieces: z.boolean().default(false),
  sign: z.enum(["ours", "stranger", "nothing", "hmac-jwk", "hmac-pem", "hmac-empty"]).default("ours"),
  change: z.string().optional(),
});
export type TokenCase = z.output<typeof TokenCase>;

export interface Signers {
  readonly ours: SigningKey;
  readonly stranger: SigningKey;
}

const RelativeTime = z.strictObject({ in: z.int() });
const RepeatedText = z.tuple([z.string(), z.int()]);

/** `fill` fills in names in braces. */
export async function buildToken(
  hostile: TokenCase,
  signers: Signers,
  good: Readonly<Record<string, unknown>>,
  fill: (text: string) => string,
): Promise<string> {
  const header = { alg: "ES256", kid: signers.ours.kid, typ: "at+jwt", ...hostile.header };
  const head = await serializeMembers(hostile, header, hostile.twiceHeader, signers);
  const claims = { ...good, ...hostile.claims };
  const body = hostile.body ?? (await serializeMembers(hostile, claims, hostile.twice, signers));
  const bytes = Buffer.from(fill(body), hostile.latin1 ? "latin1" : "utf8");
  const text = `${Buffer.from(fill(head)).toString("base64url")}.${bytes.toString("base64url")}`;
  const token = `${text}.${(await signText(hostile, text, signers)).toString("base64url")}`;
  return hostile.change ? tamper(token, hostile.change) : token;
}

async function serializeMembers(
  hostile: TokenCase,
  members: object,
  twice: Readonly<Record<string, string>>,
  signers: Signers,
) {
  const parts: string[] = [];
  for (const [name, value] of Object.entries(members)) {
    if (value !== null)
      parts.push(`${JSON.stringify(name)}:${hostile.raw[name] ?? (await serializeValue(hostile, value, signers))}`);
  }
  for (const [name, value] of Object.entries(twice)) parts.push(`"${name}":${JSON.stringify(value)}`);
  return `{${parts.join(",")}}`;
}

async function serializeValue({ pieces }: TokenCase, value: unknown, { stranger }: Signers): Promise<string> {
  const at = RelativeTime.safeParse(value);
  if (at.success) return String(Math.floor(Date.now() / 1_000) + at.data.in);
  const times = pieces ? RepeatedText.safeParse(value) : undefined;
  if (times?.success) return JSON.stringify(times.data[0].repeat(times.data[1]));
  return JSON.stringify(value === "{stranger}" ? await exportJWK(stranger.publicKey) : value);
}

async function signText({ sign }: TokenCase, text: string, { ours, stranger }: Signers): Promise<Buffer> {
  if (sign === "nothing") return Buffer.from("{}");
  if (sign === "ours") return signLowS(text, await exportJWK(ours.privateKey));
  if (sign === "stranger") return signLowS(text, await exportJWK(stranger.privateKey));
  const secrets = {
    "hmac-jwk": JSON.stringify(await exportJWK(ours.publicKey)),
    "hmac-pem": await exportSPKI(ours.publicKey),
    "hmac-empty": "",
  };
  return createHmac("sha256", secrets[sign]).update(text).digest();
}

const CURVE_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/** Like our own signatures: with the smaller s. */
function signLowS(text: string, key: JWK): Buffer {
  const signature = signBytes("sha256", Buffer.from(text), {
    key: createPrivateKey({ key: { ...key }, format: "jwk" }),
    dsaEncoding: "ieee-p1363",
  });
  const s = BigInt(`0x${signature.subarray(32).toString("hex")}`);
  return s <= CURVE_ORDER / 2n ? signature : negateS(signature);
}

function negateS(signature: Buffer): Buffer {
  const s = CURVE_ORDER - BigInt(`0x${signature.subarray(32).toString("hex")}`);
  return Buffer.concat([signature.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, "0"), "hex")]);
}

function toDer(signature: Buffer): Buffer {
  const both = Buffer.concat([toDerInteger(signature.subarray(0, 32)), toDerInteger(signature.subarray(32))]);
  return Buffer.concat([Buffer.from([0x30, both.length]), both]);
}

function toDerInteger(part: Buffer): Buffer {
  const bytes = (part[0] ?? 0) > 127 ? Buffer.concat([Buffer.alloc(1), part]) : part;
  return Buffer.concat([Buffer.from([2, bytes.length]), bytes]);
}

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

function tamper(token: string, change: string): string {
  const [head = "", body = "", last = ""] = token.split(".");
  const signature = Buffer.from(last, "base64url");
  const ways: Readonly<Record<string, () => string>> = {
    "high-s": () => `${head}.${body}.${negateS(signature).toString("base64url")}`,
    der: () => `${head}.${body}.${toDer(signature).toString("base64url")}`,
    zeros: () => `${head}.${body}.${Buffer.alloc(64).toString("base64url")}`,
    cut: () => token.slice(0, -8),
    none: () => `${head}.${body}.`,
    bits: () => token.slice(0, -1) + (LETTERS[LETTERS.indexOf(token.at(-1) ?? "A") + 1] ?? ""),
    padding: () => `${token}==`,
    payload: () => `${head}.${Buffer.from('{"tier":"sovereign"}').toString("base64url")}.${last}`,
    "four-parts": () => `${token}.${last}`,
    "five-parts": () => `${token}.${body}.${last}`,
  };
  const way = ways[change];
  if (!way) throw new Error(`Nobody knows how to change a token so: ${change}`);
  return way();
}
