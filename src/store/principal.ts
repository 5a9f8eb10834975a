/** On whose behalf a transaction runs; row security decides by it what the transaction sees. */

/** A processor of the fleet itself sees all tenants; an operator's request sees what row security shows. */
export type Principal =
  | { readonly role: "fleet_worker" }
  | {
      readonly role: "fleet_app";
      readonly tenantId: string;
      readonly operatorId: string;
      readonly scope: "operator" | "tenant";
    };

export const SYSTEM: Principal = { role: "fleet_worker" };

export interface OperatorRef {
  readonly id: string;
  readonly tenantId: string;
}

/** A request: reads within the tenant, writes as the operator. */
export function asOperator(operator: OperatorRef): Principal {
  return { role: "fleet_app", tenantId: operator.tenantId, operatorId: operator.id, scope: "tenant" };
}
