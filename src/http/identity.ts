/** Who asks: an operator, read from a verified token and from nothing else in the request. */
import { errors, jwtVerify, type CryptoKey, type JWTPayload } from "jose";
import { z } from "zod";
import { FleetError } from "../domain/errors.ts";
import { Operator, Role, Tier } from "../domain/operator.ts";
import { isLow, readCompact, type Compact } from "./compact.ts";
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

export function identifyBy(terms: IdentityTerms): Identify {
  return async (token, kind = "access") => {
    const compact = readCompact(token);
    if (!compact) throw refusal();
    const rules = rulesFor(compact, kind, terms);
    const { kid, typ } = compact.header;
    if (!rules.types.includes(typ) || (rules.low && !isLow(compact.signature))) throw refusal();
    const key = await rules.keys.find(kid);
    if (!key) throw refusal();
    const identified = readClaims(await verified(token, key, rules, terms.clock()));
    if (!identified || (await terms.isRevoked?.(rules.issuer, identified.jti))) throw refusal();
    return identified;
  };
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
