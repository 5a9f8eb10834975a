/** Who asks: an operator, read from a verified token and from nothing else in the request. */
import { hash, KeyObject } from "node:crypto";
import { errors, jwtVerify, type CryptoKey, type JWTPayload } from "jose";
import { z } from "zod";
import { FleetError } from "../../domain/errors.ts";
import { Operator, Role, Tier } from "../../domain/operator.ts";
import { isLow, readCompact, type Compact } from "./jwt-compact.ts";
import { LONGEST_TTL_MS, TOKEN_TYPES, type KeySet, type TokenKind } from "./tokens.ts";

export interface IdentityTerms {
  readonly keys: KeySet;
  readonly issuer: string;
  readonly audience: string;
  readonly clock: () => Date;
  /** Tokens taken back before their time. */
  readonly isRevoked?: (issuer: string, jti: string) => Promise<boolean>;
  /** Somebody else whose access tokens are believed, too. */
  readonly other?: OtherIssuer | undefined;
}

export interface OtherIssuer {
  readonly issuer: string;
  readonly audience: string;
  readonly keys: Pick<KeySet, "find">;
}

export interface Identified {
  readonly operator: Operator;
  readonly jti: string;
  readonly expiresAt: Date;
}

/** Verifies one token of one kind. Every refusal says the same to the asker: which check failed is not their business. */
export type Identify = (token: string, kind?: TokenKind) => Promise<Identified>;

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

/** One issuer's own rules. */
interface Rules {
  readonly issuer: string;
  readonly audience: string;
  readonly keys: Pick<KeySet, "find">;
  readonly types: readonly string[];
  /** Its signatures are those with the smaller s. */
  readonly low: boolean;
}

/** Access tokens of others often go without a type of their own. */
const OTHER_TYPES = [TOKEN_TYPES.access, "JWT"];

/** What a token said when its signature was checked; whether its key still stands is asked each time. */
interface Verified {
  readonly rules: Rules;
  readonly kid: string;
  readonly key: CryptoKey;
  readonly identified: Identified;
  readonly at: Date;
}

/** Tokens whose signature is not checked again; only those that were good once are kept, so strangers push none out. */
const MOST_KEPT = 4_096;

export function identifyBy(terms: IdentityTerms): Identify {
  const kept = new Map<string, Verified>();
  return async (token, kind = "access") => {
    // Names no token: what is kept lets nobody in.
    const name = hash("sha256", `${kind} ${token}`, "base64");
    const last = kept.get(name);
    kept.delete(name);
    const now = terms.clock();
    const known = (last && (await stillGood(last, now))) ?? (await verify(token, kind, terms));
    if (await terms.isRevoked?.(known.rules.issuer, known.identified.jti)) throw refusal();
    // The one asked for last is the last to go.
    for (const oldest of kept.keys()) {
      if (kept.size < MOST_KEPT) break;
      kept.delete(oldest);
    }
    kept.set(name, known);
    return known.identified;
  };
}

/** Undefined when all of it has to be looked at again: after its time, with the clock put back, with another key of that name. */
async function stillGood(last: Verified, now: Date): Promise<Verified | undefined> {
  if (now < last.at || now >= last.identified.expiresAt) return undefined;
  const key = await last.rules.keys.find(last.kid);
  if (key === last.key) return last;
  // Keys are read again and again: mostly the same one as another object.
  return key && KeyObject.from(key).equals(KeyObject.from(last.key)) ? { ...last, key } : undefined;
}

async function verify(token: string, kind: TokenKind, terms: IdentityTerms): Promise<Verified> {
  const compact = readCompact(token);
  if (!compact) throw refusal();
  const rules = rulesFor(compact, kind, terms);
  const { kid, typ } = compact.header;
  if (!rules.types.includes(typ) || (rules.low && !isLow(compact.signature))) throw refusal();
  const key = await rules.keys.find(kid);
  if (!key) throw refusal();
  const at = terms.clock();
  const identified = readClaims(await verified(token, key, rules, at));
  if (!identified) throw refusal();
  return { rules, kid, key, identified, at };
}

/** Another issuer's tokens are for the API alone: links and sessions are ours. */
function rulesFor({ issuer }: Compact, kind: TokenKind, { other, ...own }: IdentityTerms): Rules {
  if (other && kind === "access" && issuer === other.issuer) return { ...other, types: OTHER_TYPES, low: false };
  return { ...own, types: [TOKEN_TYPES[kind]], low: true };
}

function readClaims(payload: JWTPayload): Identified | undefined {
  const claims = Claims.safeParse(payload);
  if (!claims.success) return undefined;
  const { sub, tenant, tier, role, jti, iat, exp } = claims.data;
  if (exp - iat > LONGEST_TTL_MS / 1_000) return undefined;
  const operator = Operator.safeParse({ id: sub, tenantId: tenant, tier, ...(role ? { role } : {}) });
  return operator.success ? { operator: operator.data, jti, expiresAt: new Date(exp * 1_000) } : undefined;
}

/** The token of `Authorization: Bearer …`; undefined when there is none. */
export function bearerOf(authorization: string | undefined): string | undefined {
  return /^Bearer ([^\s]+)$/i.exec(authorization ?? "")?.[1];
}

export function refusal(): FleetError {
  return new FleetError("unauthenticated", "A valid token is needed: Authorization: Bearer <token>.");
}

async function verified(token: string, key: CryptoKey, rules: Rules, now: Date): Promise<JWTPayload> {
  try {
    const { payload } = await jwtVerify(token, key, {
      algorithms: ["ES256"],
      issuer: rules.issuer,
      audience: rules.audience,
      requiredClaims: ["exp", "iat", "sub", "jti", "tenant", "tier"],
      maxTokenAge: LONGEST_TTL_MS / 1_000,
      clockTolerance: TOLERANCE_SECONDS,
      currentDate: now,
    });
    return payload;
  } catch (error) {
    if (error instanceof errors.JOSEError) throw refusal();
    throw error;
  }
}
