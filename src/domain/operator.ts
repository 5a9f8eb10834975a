/** Who asks: an operator of a tenant, with a tier that says what they may do and how many slots they may hold. */
import { z } from "zod";

export const Tier = z.enum(["observer", "participant", "builder", "architect", "sovereign"]);
export type Tier = z.infer<typeof Tier>;

export const Role = z.enum(["admin", "queue-operator"]);

const Name = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._@-]*$/);

export const Operator = z.object({
  id: Name,
  tenantId: Name,
  tier: Tier,
  role: Role.optional(),
});
export type Operator = z.infer<typeof Operator>;

/** Concurrent agents a tier may hold; `fleet.yaml` may say otherwise. */
export const SLOTS_BY_TIER: Readonly<Record<Tier, number>> = {
  observer: 0,
  participant: 0,
  builder: 1,
  architect: 3,
  sovereign: 10,
};

export function tierReaches(actual: Tier, needed: Tier): boolean {
  return Tier.options.indexOf(actual) >= Tier.options.indexOf(needed);
}
