/** On whose behalf a use case reads: an operator within their tenant, an admin across all tenants, or the fleet itself. */
import type { Operator } from "../domain/operator.ts";
import { type Principal, SYSTEM, asOperator } from "../store/principal.ts";

/** What an operator may see: their tenant; an admin, when asked for everything, all tenants. */
export function visibleTo(by: Operator, { all = false }: { all?: boolean } = {}): Principal {
  return all && by.role === "admin" ? SYSTEM : asOperator(by);
}
