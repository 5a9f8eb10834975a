/** planner → the look that the job names. */
import { plannerQueue } from "../queues/planner.ts";
import { planByTheClock } from "../src/conductor/plan/scheduled.ts";
import { runSchedule, sweepSchedules } from "../src/conductor/schedules/run.ts";
import { defineProcessor } from "./define.ts";

export const plannerProcessor = defineProcessor(plannerQueue, async (fleet, job) => {
  if (job.look === "state") await planByTheClock(fleet, job);
  else if (job.look === "schedule") await runSchedule(fleet, { tenantId: job.tenantId, id: job.scheduleId });
  else await sweepSchedules(fleet);
});
