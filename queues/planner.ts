/** planner: creates work orders, from the state of the products or from the schedules that are due. */
import { z } from "zod";
import { defineQueue } from "./define.ts";

export const PlannerJob = z.discriminatedUnion("kind", [
  /** Plans from the state of all products of each tenant, at most `budget` orders; runs on schedule if fleet.yaml says so. */
  z.strictObject({ kind: z.literal("state"), budget: z.int().min(1).max(1_000), run: z.boolean() }),
  /** A tick of one schedule, or a push to its product. */
  z.strictObject({
    kind: z.literal("schedule"),
    tenantId: z.string(),
    scheduleId: z.string(),
    pushId: z.uuid().optional(),
  }),
  /** Runs every schedule that is due, because its tick was lost or no worker was running. */
  z.strictObject({ kind: z.literal("due") }),
]);
export type PlannerJob = z.infer<typeof PlannerJob>;

/** Job schedulers give their own ids to the jobs of ticks; these ids are for jobs that are added otherwise. */
export const plannerQueue = defineQueue({
  name: "planner",
  payload: PlannerJob,
  concurrency: 1,
  jobId: (job) => {
    if (job.kind !== "schedule") return `planner_${job.kind}`;
    const { tenantId, scheduleId, pushId } = job;
    return `planner_schedule_${tenantId}_${scheduleId}${pushId ? `_${pushId}` : ""}`;
  },
});
