/** Who asks: an operator, read from a verified token and from nothing else in the request. */
import { decodeProtectedHeader, errors, jwtVerify, type CryptoKey, type JWTPayload } from "jose";
import { z } from "zod";
import { FleetError } from "../domain/errors.ts";
import { Operator, Role, Tier } from "../domain/operator.ts";
import { LONGEST_TTL_MS, TOKEN_TYPES, type KeySet, type TokenKind } from "./tokens.ts";

export interface IdentityTerms {
  readonly keys: KeySet;
  readonly issuer: string;
  readonly audience: string;
  readonly clock: () => Date;
  /** Tokens taken back before their time. */
  readonly isRevoked?: (jti: string) => Promise<boolean>;
}

export interface Identified {
  readonly operator: Operator;
  readonly jti: string;
  readonly expiresAt: Date;
}

/** Verifies one token of one kind. Every refusal says the same to the asker: which check failed is not their business. */
export type Identify = (token: string, kind?: TokenKind) => Promise<Identified>;

const LONGEST_TOKEN_BYTES = 8_192;
const TOLERANCE_SECONDS = 5;
const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

/** Exactly these may stand in a header: no embedded keys (jwk, jku, x5u, x5c), no extensions (crit). */
const Header = z.strictObject({
  alg: z.literal("ES256"),
  kid: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/),
  typ: z.string(),
});

const Claims = z.looseObject({
  sub: z.string(),
  tenant: z.string(),
  tier: Tier,
  role: Role.optional(),
  jti: z.string().min(1).max(128),
  iat: z.int(),
  exp: z.int(),
});

export function identifyBy(terms: IdentityTerms): Identify {
  return async (token, kind = "access") => {
    if (token.length > LONGEST_TOKEN_BYTES || !COMPACT.test(token)) throw refusal();
    const key = await terms.keys.find(kidOf(token));
    if (!key) throw refusal();
    const claims = Claims.safeParse(await verified(token, key, kind, terms));
    if (!claims.success) throw refusal();

    const { sub, tenant, tier, role, jti, iat, exp } = claims.data;
    if (exp - iat > LONGEST_TTL_MS / 1_000) throw refusal();
    const operator = Operator.safeParse({ id: sub, tenantId: tenant, tier, ...(role ? { role } : {}) });
    if (!operator.success || (await terms.isRevoked?.(jti))) throw refusal();
    return { operator: operator.data, jti, expiresAt: new Date(exp * 1_000) };
  };
}

/** The token of `Authorization: Bearer …`; undefined when there is none. */
export function bearerOf(authorization: string | undefined): string | undefined {
  return /^Bearer ([^\s]+)$/i.exec(authorization ?? "")?.[1];
}

export function refusal(): FleetError {
  return new FleetError("unauthenticated", "A valid token is needed: Authorization: Bearer <token>.");
}

function kidOf(token: string): string {
  try {
    return Header.parse(decodeProtectedHeader(token)).kid;
  } catch {
    throw refusal();
  }
}

async function verified(token: string, key: CryptoKey, kind: TokenKind, terms: IdentityTerms): Promise<JWTPayload> {
  try {
    const { payload } = await jwtVerify(token, key, {
      algorithms: ["ES256"],
      issuer: terms.issuer,
      audience: terms.audience,
      typ: TOKEN_TYPES[kind],
      requiredClaims: ["exp", "iat", "sub", "jti", "tenant", "tier"],
      maxTokenAge: LONGEST_TTL_MS / 1_000,
      clockTolerance: TOLERANCE_SECONDS,
      currentDate: terms.clock(),
    });
    return payload;
  } catch (error) {
    if (error instanceof errors.JOSEError) throw refusal();
    throw error;
  }
}
