/** Tokens and operators as the API returns them. The text of a token is shown once, to the operator who issued it. */
import { z } from "zod";
import { type OperatorRow, OwnerName, Role, Tier } from "../domain/operator.ts";
import type { TokenRow } from "../domain/token.ts";
import { toIsoOrNull } from "./fields.ts";
import { PageQuery } from "./page.ts";

const Moment = z.iso.datetime();

export const TokenView = z
  .object({
    id: z.string().meta({ description: "Its `jti`" }),
    operator: z.string(),
    tenant: z.string(),
    tier: Tier,
    role: Role.nullable(),
    name: z.string(),
    purpose: z.enum(["access", "session"]).meta({ description: "session: the cookie of a browser" }),
    standing: z.enum(["valid", "expired", "revoked"]),
    issuedBy: z.string(),
    issuedAt: Moment,
    expiresAt: Moment,
    revokedBy: z.string().nullable(),
    revokedAt: Moment.nullable(),
  })
  .meta({ id: "Token" });
export type TokenView = z.infer<typeof TokenView>;

export const TokensQuery = PageQuery.extend({
  over: z.stringbool().default(false).meta({ description: "Also expired and revoked tokens" }),
});

export const TokenRequest = z.strictObject({
  operator: OwnerName,
  tenant: OwnerName,
  tier: Tier,
  role: Role.optional(),
  ttlMinutes: z.int().min(1).max(1_440).default(1_440),
  name: z.string().trim().max(100).default("").meta({ description: "What it is for" }),
});

export const IssuedToken = z
  .object({ token: z.string().meta({ description: "Shown only once" }), id: z.string(), expiresAt: Moment })
  .meta({ id: "IssuedToken" });

export const RevokeRequest = z.strictObject({
  issuer: z
    .string()
    .min(1)
    .max(2_048)
    .optional()
    .meta({ description: "The `iss`, for a token of another issuer; then the whole `jti` is needed" }),
});

export const RevokedToken = z.object({ id: z.string(), issuer: z.string() }).meta({ id: "RevokedToken" });

export const OperatorView = z
  .object({ id: z.string(), tenant: z.string(), tier: Tier, role: Role.nullable(), disabledAt: Moment.nullable() })
  .meta({ id: "Operator", description: "The highest tier and role that a token of this operator may claim" });
export type OperatorView = z.infer<typeof OperatorView>;

export const OperatorChange = z.strictObject({
  operator: OwnerName,
  tenant: OwnerName.optional().meta({ description: "Required for a new operator" }),
  tier: Tier.optional().meta({ description: "Required for a new operator" }),
  role: z.union([Role, z.literal("none")]).optional(),
});

export function viewToken(row: TokenRow, now: Date): TokenView {
  const { jti, operatorId, tenantId, tier, role, name, purpose, issuedBy, issuedAt, expiresAt, revokedBy, revokedAt } =
    row;
  const lives = expiresAt > now ? "valid" : "expired";
  return {
    id: jti,
    operator: operatorId,
    tenant: tenantId,
    tier,
    role,
    name,
    purpose,
    standing: revokedAt ? "revoked" : lives,
    issuedBy,
    issuedAt: issuedAt.toISOString(),
    expiresAt: expiresAt.toISOString(),
    revokedBy,
    revokedAt: toIsoOrNull(revokedAt),
  };
}

export function viewOperator({ id, tenantId, tier, role, disabledAt }: OperatorRow): OperatorView {
  return { id, tenant: tenantId, tier, role, disabledAt: toIsoOrNull(disabledAt) };
}
