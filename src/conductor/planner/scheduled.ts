/** Planning on schedule: for each tenant, in the name of its system operator; the orders run if the settings say so. */
import type { PlannerJob } from "../../../queues/planner.ts";
import type { Fleet } from "../fleet.ts";
import { requestBatch } from "../orders/requests.ts";
import { makePlan } from "./plan.ts";
import { ensureSystemOperator } from "../scope.ts";

/** Returns the number of new orders of all tenants; undefined when another worker is planning. */
export async function planOnSchedule(
  fleet: Fleet,
  { budget, run }: Pick<Extract<PlannerJob, { kind: "state" }>, "budget" | "run">,
): Promise<number | undefined> {
  return fleet.store.tryWithLock("planner/state", async () => {
    let stored = 0;
    for (const tenantId of new Set(fleet.settings.products.map(({ tenant }) => tenant))) {
      const by = await ensureSystemOperator(fleet, tenantId);
      const made = await makePlan(fleet, by, { wanted: budget, source: "state" });
      const planned = made.standings.filter(({ state }) => state === "planned").map(({ orderId }) => orderId);
      if (run && planned.length > 0) await requestBatch(fleet, by, planned);
      stored += made.stored;
      const facts = { event: "plan.made", tenantId, planId: made.plan.plan_id, stored: made.stored };
      fleet.log.info(facts, `planned ${made.plan.orders.length} of ${made.plan.candidates} possible orders`);
    }
    return stored;
  });
}
