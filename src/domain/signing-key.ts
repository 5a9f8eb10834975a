/** A key that signs tokens: its public half, and its private half as it is encrypted. */
import { z } from "zod";

export const SigningKeyRow = z.object({
  id: z.string(),
  publicJwk: z.record(z.string(), z.unknown()),
  sealedPrivate: z.instanceof(Buffer),
  sealedWith: z.string(),
  activeFrom: z.date(),
  retireAt: z.date().nullable(),
  revokedAt: z.date().nullable(),
});
export type SigningKeyRow = z.infer<typeof SigningKeyRow>;
