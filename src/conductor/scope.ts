/** On whose behalf a use case reads: an operator within their tenant, an admin across all tenants, or the fleet itself. */
import type { Operator } from "../domain/operator.ts";
import { requestBy, WORKER, type Behalf } from "../store/store.ts";

/** What an operator may see: their tenant; an admin, when asked for everything, all tenants. */
export function sightOf(by: Operator, { all = false }: { all?: boolean } = {}): Behalf {
  return all && by.role === "admin" ? WORKER : requestBy(by);
}

/** Whose the fleet itself is: its hosts, its database, its clocks. The tenant of whoever runs Fleetwright on this machine. */
export const HOUSE_TENANT = "local";
