/** Plans asked for through the queue: on the account of the house, stored and left to wait like any other. */
import type { PlannerJob } from "../../queues/planner.ts";
import type { Fleet } from "./fleet.ts";
import { factoryOperator } from "./factory-operator.ts";
import { makePlan, type MadePlan } from "./plan.ts";

export async function runPlanJob(
  fleet: Fleet,
  { tenantId, budget, fromSchedules }: Extract<PlannerJob, { look: "plan" }>,
): Promise<MadePlan> {
  const by = await factoryOperator(fleet, tenantId);
  const made = await makePlan(fleet, by, { wanted: budget, source: fromSchedules ? "schedules" : "state" });
  const facts = { event: "plan.made", tenantId, planId: made.plan.plan_id, stored: made.stored };
  fleet.log.info(facts, `planned ${made.plan.orders.length} of ${made.plan.candidates} possible orders`);
  return made;
}
