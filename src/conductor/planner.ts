/** Plans asked for through the queue. */
import type { PlannerJob } from "../../queues/planner.ts";
import { FleetError } from "../domain/errors.ts";
import type { Fleet } from "./fleet.ts";

export async function runPlanJob(_fleet: Fleet, { planId }: Extract<PlannerJob, { look: "plan" }>): Promise<void> {
  throw new FleetError("not-supported", `The plan ${planId} cannot be made through the queue yet.`);
}
