/** Operators: users of a tenant, whose tier determines what they may do and how many slots they may hold. */
import { z } from "zod";
import { FleetError } from "./errors.ts";
import { SYSTEM_TENANT } from "./tenant.ts";

export const Tier = z.enum(["observer", "participant", "builder", "architect", "sovereign"]);
export type Tier = z.infer<typeof Tier>;

export const Role = z.enum(["admin", "queue-operator"]);
export type Role = z.infer<typeof Role>;

/** The name of an operator or a tenant. */
export const OwnerName = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._@-]*$/);

export const Operator = z.object({
  id: OwnerName,
  tenantId: OwnerName,
  tier: Tier,
  role: Role.optional(),
});
export type Operator = z.infer<typeof Operator>;

/** How many concurrent agents each tier may have by default; `fleet.yaml` can override it. */
export const SLOTS_BY_TIER: Readonly<Record<Tier, number>> = {
  observer: 0,
  participant: 0,
  builder: 1,
  architect: 3,
  sovereign: 10,
};

export function isTierAtLeast(actual: Tier, needed: Tier): boolean {
  return Tier.options.indexOf(actual) >= Tier.options.indexOf(needed);
}

/** For what only some requests to a use case need; where all do, the route names the role. Throws "tier-too-low". */
export function assertAdmin(by: Operator, action: string): void {
  if (by.role !== "admin") throw new FleetError("tier-too-low", `${action} needs role admin.`, { needed: "admin" });
}

/** The stored record of an operator: the upper bound of what a token may claim. */
export interface OperatorRecord {
  readonly tenantId: string;
  readonly tier: Tier;
  readonly role: Role | null;
  readonly disabledAt: Date | null;
}

/** Returns the lower of what the token claims and what the record allows; undefined when the operator is unknown or disabled. */
export function effectiveOperator(claimed: Operator, record: OperatorRecord | undefined): Operator | undefined {
  if (!record || record.tenantId !== claimed.tenantId || record.disabledAt) return undefined;
  const { id, tenantId } = claimed;
  const tier = isTierAtLeast(claimed.tier, record.tier) ? record.tier : claimed.tier;
  const role = isRoleAtLeast(claimed.role, record.role) ? record.role : claimed.role;
  return { id, tenantId, tier, ...(role ? { role } : {}) };
}

type MaybeRole = Role | null | undefined;

/** The roles are ordered: an admin may do everything that a queue operator may. */
export function isRoleAtLeast(actual: MaybeRole, needed: MaybeRole): boolean {
  return ROLE_RANK[actual ?? "none"] >= ROLE_RANK[needed ?? "none"];
}

const ROLE_RANK = { none: 0, "queue-operator": 1, admin: 2 } as const;

export const OperatorRow = z.object({
  id: z.string(),
  tenantId: z.string(),
  tier: Tier,
  role: Role.nullable(),
  disabledAt: z.date().nullable(),
  createdAt: z.date(),
});
export type OperatorRow = z.infer<typeof OperatorRow>;

/** The operator of a stack that runs on one machine alone; every user who may read its home has its token. */
export const LOCAL_OPERATOR: Operator = { id: "local", tenantId: SYSTEM_TENANT, tier: "sovereign", role: "admin" };
