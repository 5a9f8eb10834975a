/** planner: creates work orders, from the state of the products or from the schedules that are due. */
import { z } from "zod";
import { defineQueue } from "./define.ts";

export const PlannerJob = z.discriminatedUnion("kind", [
  /** On schedule, when fleet.yaml says so: the state of all products of each tenant, at most so many orders. */
  z.strictObject({ kind: z.literal("state"), budget: z.int().min(1).max(1_000), run: z.boolean() }),
  /** A tick of one schedule: creates the orders of its slot unless that was already done. */
  z.strictObject({ kind: z.literal("schedule"), tenantId: z.string(), scheduleId: z.string() }),
  /** Checks all schedules for ticks that were lost, or missed while nothing was running. */
  z.strictObject({ kind: z.literal("due") }),
]);
export type PlannerJob = z.infer<typeof PlannerJob>;

/** Job schedulers assign their own ids to their jobs; these ids are for jobs that are added manually. */
export const plannerQueue = defineQueue({
  name: "planner",
  payload: PlannerJob,
  concurrency: 1,
  jobId: (job) =>
    job.kind === "schedule" ? `planner_schedule_${job.tenantId}_${job.scheduleId}` : `planner_${job.kind}`,
});
