/** Tokens: the keys that sign them, the set that verifies them, and how one is issued. ES256 only. */
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from "jose";
import { z } from "zod";
import type { Operator } from "../../domain/operator.ts";
import { toLowS } from "./jwt-compact.ts";

/** What a token is for; one kind is never accepted as another. */
export const TOKEN_TYPES = {
  access: "at+jwt",
  session: "fleet-session+jwt",
  login: "fleet-login+jwt",
} as const;
export type TokenKind = keyof typeof TOKEN_TYPES;

export const MAX_TTL_MS = 24 * 3_600_000;

export const P256 = { name: "ECDSA", namedCurve: "P-256" };

/** Parsing removes every other member, so a published key can never contain `d`. */
const PublicMembers = z.object({ kty: z.literal("EC"), crv: z.literal("P-256"), x: z.string(), y: z.string() });
const PrivateJwk = PublicMembers.extend({ kid: z.string(), d: z.string() });

export interface SigningKey {
  readonly kid: string;
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
}

/** Keys are looked up by `kid`, in our own set and nowhere else. */
export interface KeySet {
  find(kid: string): Promise<CryptoKey | undefined>;
  /** Public members only, for /.well-known/jwks.json. */
  publicKeys(): Promise<readonly JWK[]>;
}

export interface TokenOptions {
  readonly kind?: TokenKind;
  readonly ttlMs: number;
  readonly issuer: string;
  readonly audience: string;
  readonly clock: () => Date;
  readonly newId: () => string;
}

/** The id of a key is its thumbprint (RFC 7638), so two keys cannot have the same. */
export async function createSigningKey(): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair("ES256", { extractable: true });
  return { kid: await calculateJwkThumbprint(await exportJWK(publicKey)), privateKey, publicKey };
}

/** Contains `d`: for the encrypted column or a 0600 file, never for the network. */
export async function exportSigningKey(key: SigningKey): Promise<JWK> {
  return { ...(await exportJWK(key.privateKey)), kid: key.kid, alg: "ES256", use: "sig" };
}

export async function importSigningKey(jwk: JWK): Promise<SigningKey> {
  const { kid, d, ...rest } = PrivateJwk.parse(jwk);
  const [privateKey, publicKey] = await Promise.all([
    crypto.subtle.importKey("jwk", { ...rest, d }, P256, true, ["sign"]),
    crypto.subtle.importKey("jwk", rest, P256, true, ["verify"]),
  ]);
  return { kid, privateKey, publicKey };
}

export async function publicJwk(key: SigningKey): Promise<JWK> {
  return { ...PublicMembers.parse(await exportJWK(key.publicKey)), kid: key.kid, alg: "ES256", use: "sig" };
}

/** A fixed set, for tests; the set of the store rotates. */
export function staticKeySet(keys: readonly SigningKey[]): KeySet {
  return {
    find: async (kid) => keys.find((key) => key.kid === kid)?.publicKey,
    publicKeys: () => Promise.all(keys.map((key) => publicJwk(key))),
  };
}

export async function issueToken(key: SigningKey, operator: Operator, options: TokenOptions): Promise<string> {
  const { kind = "access", ttlMs, issuer, audience, clock, newId } = options;
  if (ttlMs <= 0 || ttlMs > MAX_TTL_MS) throw new RangeError("A token lives at most 24 hours.");
  const now = Math.floor(clock().getTime() / 1_000);
  const { id, tenantId, tier, role } = operator;
  const token = await new SignJWT({ tenant: tenantId, tier, ...(role ? { role } : {}) })
    .setProtectedHeader({ alg: "ES256", kid: key.kid, typ: TOKEN_TYPES[kind] })
    .setSubject(id)
    .setIssuer(issuer)
    .setAudience(audience)
    .setIssuedAt(now)
    .setExpirationTime(now + Math.floor(ttlMs / 1_000))
    .setJti(newId())
    .sign(key.privateKey);
  return toLowS(token);
}
