/** What an operator may read. */
import type { Operator } from "../domain/operator.ts";
import { type Principal, SYSTEM, asOperator } from "../store/principal.ts";

/** An operator sees their tenant; an admin who asks for `all` sees every tenant. */
export function visibleTo(by: Operator, { all = false }: { all?: boolean } = {}): Principal {
  return all && by.role === "admin" ? SYSTEM : asOperator(by);
}
