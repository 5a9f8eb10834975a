/** On whose account the clock's own orders are: one operator of the house for each tenant. */
import type { Operator } from "../domain/operator.ts";
import { upsertOperator } from "../store/operators.ts";
import type { Fleet } from "./fleet.ts";

/** Known to the house afterwards, so that rows and audit entries may name it. */
export async function ensureSystemOperator(fleet: Fleet, tenantId: string): Promise<Operator> {
  const operator: Operator = { id: `factory.${tenantId}`, tenantId, tier: "builder" };
  await fleet.store.asSystem((tx) => upsertOperator(tx, operator));
  return operator;
}
