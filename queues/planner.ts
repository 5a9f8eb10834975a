/** planner: make work orders, from the state of the products or from the schedules that are due. */
import { z } from "zod";
import { defineQueue } from "./define.ts";

export const PlannerJob = z.discriminatedUnion("kind", [
  /** On schedule, when fleet.yaml says so: the state of all products of each tenant, at most so many orders. */
  z.strictObject({ kind: z.literal("state"), budget: z.int().min(1).max(1_000), run: z.boolean() }),
  /** A tick of one schedule: is its slot still to be made? */
  z.strictObject({ kind: z.literal("schedule"), tenantId: z.string(), scheduleId: z.string() }),
  /** Every schedule: whose tick was lost, or missed while nothing ran? */
  z.strictObject({ kind: z.literal("due") }),
]);
export type PlannerJob = z.infer<typeof PlannerJob>;

/** Ticks come from job schedulers, which name their jobs themselves; the ids of the looks are for those asked by hand. */
export const plannerQueue = defineQueue({
  name: "planner",
  payload: PlannerJob,
  concurrency: 1,
  jobId: (job) =>
    job.kind === "schedule" ? `planner_schedule_${job.tenantId}_${job.scheduleId}` : `planner_${job.kind}`,
});
