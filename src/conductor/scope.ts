/** On whose behalf a use case works: an operator within their tenant, an admin across all tenants, or the fleet itself. */
import type { Operator } from "../domain/operator.ts";
import { type Principal, SYSTEM, asOperator } from "../store/principal.ts";
import { upsertOperator } from "../store/operators.ts";
import type { Fleet } from "./fleet.ts";

/** An operator sees their tenant; an admin who asks for `all` sees every tenant. */
export function visibleTo(by: Operator, { all = false }: { all?: boolean } = {}): Principal {
  return all && by.role === "admin" ? SYSTEM : asOperator(by);
}

/** The operator in whose name the fleet itself works for a tenant, such as when a schedule creates orders. */
export function systemOperatorId(tenantId: string): string {
  return `factory.${tenantId}`;
}

/** Stores the system operator of the tenant first, because rows and audit entries refer to it. */
export async function ensureSystemOperator(fleet: Fleet, tenantId: string): Promise<Operator> {
  const operator: Operator = { id: systemOperatorId(tenantId), tenantId, tier: "builder" };
  await fleet.store.asSystem((tx) => upsertOperator(tx, operator));
  return operator;
}
