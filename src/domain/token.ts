/** A token that was issued: whose it is, and until when it is valid. Never its text. */
import { z } from "zod";
import { Role, Tier } from "./operator.ts";

export const TokenRow = z.object({
  jti: z.string(),
  tenantId: z.string(),
  operatorId: z.string(),
  purpose: z.enum(["access", "session"]),
  tier: Tier,
  role: Role.nullable(),
  name: z.string(),
  issuedBy: z.string(),
  issuedAt: z.date(),
  expiresAt: z.date(),
  revokedAt: z.date().nullable(),
  revokedBy: z.string().nullable(),
});
export type TokenRow = z.infer<typeof TokenRow>;
