/** The fleet itself as an owner: of machines and schedules as a tenant, and of what it does for each tenant as an operator. */
import type { Operator } from "../domain/operator.ts";
import { upsertOperator } from "../store/operators.ts";
import type { Fleet } from "./fleet.ts";

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
