/** The operator of a request, read from its verified token and from nothing else in the request. */
import { hash, KeyObject } from "node:crypto";
import { errors, jwtVerify, type CryptoKey, type JWTPayload } from "jose";
import { z } from "zod";
import { FleetError } from "../../domain/errors.ts";
import { Operator, Role, Tier } from "../../domain/operator.ts";
import { hasLowS, parseCompactJwt, type CompactJwt } from "./jwt-compact.ts";
import { MAX_TTL_MS, TOKEN_TYPES, type KeySet, type TokenKind } from "./tokens.ts";

export interface IdentityOptions {
  readonly keys: KeySet;
  readonly issuer: string;
  readonly audience: string;
  readonly clock: () => Date;
  /** Whether a token was revoked before it expires. */
  readonly isRevoked?: (issuer: string, jti: string) => Promise<boolean>;
  /** Another issuer whose access tokens are accepted, too. */
  readonly externalIssuer?: ExternalIssuer | undefined;
}

export interface ExternalIssuer {
  readonly issuer: string;
  readonly audience: string;
  readonly keys: Pick<KeySet, "find">;
}

export interface Identity {
  readonly operator: Operator;
  readonly jti: string;
  readonly expiresAt: Date;
}

/** Verifies one token of one kind. Every refusal looks the same, so that a client cannot learn which check failed. */
export type Identify = (token: string, kind?: TokenKind) => Promise<Identity>;

const TOLERANCE_SECONDS = 5;

const Claims = z.looseObject({
  sub: z.string(),
  tenant: z.string(),
  tier: Tier,
  role: Role.optional(),
  jti: z.string().min(1).max(128),
  iat: z.int(),
  exp: z.int(),
});

/** The rules for the tokens of one issuer. */
interface IssuerRules {
  readonly issuer: string;
  readonly audience: string;
  readonly keys: Pick<KeySet, "find">;
  readonly types: readonly string[];
  /** Only signatures with the lower s are accepted. */
  readonly requiresLowS: boolean;
}

/** Access tokens of other issuers often have no type of their own. */
const EXTERNAL_TYPES = [TOKEN_TYPES.access, "JWT"];

/** A token whose signature was verified; whether its key is still valid is checked each time. */
interface VerifiedToken {
  readonly rules: IssuerRules;
  readonly kid: string;
  readonly key: CryptoKey;
  readonly identified: Identity;
  readonly at: Date;
}

/** How many verified tokens are cached. Only valid tokens are, so that invalid ones cannot evict them. */
const MAX_CACHED = 4_096;

export function createIdentify(options: IdentityOptions): Identify {
  const cache = new Map<string, VerifiedToken>();
  return async (token, kind = "access") => {
    // A hash, so that the cache contains no token.
    const cacheKey = hash("sha256", `${kind} ${token}`, "base64");
    const cached = cache.get(cacheKey);
    cache.delete(cacheKey);
    const now = options.clock();
    const current = (cached && (await revalidate(cached, now))) ?? (await verifyToken(token, kind, options));
    if (await options.isRevoked?.(current.rules.issuer, current.identified.jti)) throw unauthenticated();
    // Least recently used tokens are evicted first.
    for (const oldest of cache.keys()) {
      if (cache.size < MAX_CACHED) break;
      cache.delete(oldest);
    }
    cache.set(cacheKey, current);
    return current.identified;
  };
}

/** Undefined if it has to be verified again: it has expired, the clock was set back, or the key with that id has changed. */
async function revalidate(last: VerifiedToken, now: Date): Promise<VerifiedToken | undefined> {
  if (now < last.at || now >= last.identified.expiresAt) return undefined;
  const key = await last.rules.keys.find(last.kid);
  if (key === last.key) return last;
  // Keys are read again and again: mostly the same key as a new object.
  return key && KeyObject.from(key).equals(KeyObject.from(last.key)) ? { ...last, key } : undefined;
}

async function verifyToken(token: string, kind: TokenKind, options: IdentityOptions): Promise<VerifiedToken> {
  const compact = parseCompactJwt(token);
  if (!compact) throw unauthenticated();
  const rules = rulesFor(compact, kind, options);
  const { kid, typ } = compact.header;
  if (!rules.types.includes(typ) || (rules.requiresLowS && !hasLowS(compact.signature))) throw unauthenticated();
  const key = await rules.keys.find(kid);
  if (!key) throw unauthenticated();
  const at = options.clock();
  const identified = readClaims(await verifyJwt(token, key, rules, at));
  if (!identified) throw unauthenticated();
  return { rules, kid, key, identified, at };
}

/** Another issuer only issues access tokens: login links and sessions are our own. */
function rulesFor({ issuer }: CompactJwt, kind: TokenKind, { externalIssuer, ...own }: IdentityOptions): IssuerRules {
  if (externalIssuer && kind === "access" && issuer === externalIssuer.issuer)
    return { ...externalIssuer, types: EXTERNAL_TYPES, requiresLowS: false };
  return { ...own, types: [TOKEN_TYPES[kind]], requiresLowS: true };
}

function readClaims(payload: JWTPayload): Identity | undefined {
  const claims = Claims.safeParse(payload);
  if (!claims.success) return undefined;
  const { sub, tenant, tier, role, jti, iat, exp } = claims.data;
  if (exp - iat > MAX_TTL_MS / 1_000) return undefined;
  const operator = Operator.safeParse({ id: sub, tenantId: tenant, tier, ...(role ? { role } : {}) });
  return operator.success ? { operator: operator.data, jti, expiresAt: new Date(exp * 1_000) } : undefined;
}

/** The token of `Authorization: Bearer …`; undefined if there is none. */
export function parseBearerToken(authorization: string | undefined): string | undefined {
  return /^Bearer ([^\s]+)$/i.exec(authorization ?? "")?.[1];
}

export function unauthenticated(): FleetError {
  return new FleetError("unauthenticated", "A valid token is needed: Authorization: Bearer <token>.");
}

async function verifyJwt(token: string, key: CryptoKey, rules: IssuerRules, now: Date): Promise<JWTPayload> {
  try {
    const { payload } = await jwtVerify(token, key, {
      algorithms: ["ES256"],
      issuer: rules.issuer,
      audience: rules.audience,
      requiredClaims: ["exp", "iat", "sub", "jti", "tenant", "tier"],
      maxTokenAge: MAX_TTL_MS / 1_000,
      clockTolerance: TOLERANCE_SECONDS,
      currentDate: now,
    });
    return payload;
  } catch (error) {
    if (error instanceof errors.JOSEError) throw unauthenticated();
    throw error;
  }
}
