/** planner → planOnSchedule, runSchedule or sweepSchedules, by the kind of the job. */
import { plannerQueue } from "../queues/planner.ts";
import { planOnSchedule } from "../src/conductor/planner/scheduled.ts";
import { runSchedule, sweepSchedules } from "../src/conductor/schedules/run.ts";
import { defineProcessor } from "./define.ts";

export const plannerProcessor = defineProcessor(plannerQueue, async (fleet, job) => {
  if (job.kind === "state") await planOnSchedule(fleet, job);
  else if (job.kind === "schedule") await runSchedule(fleet, { tenantId: job.tenantId, id: job.scheduleId });
  else await sweepSchedules(fleet);
});
