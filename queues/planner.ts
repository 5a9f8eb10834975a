/** planner: make work orders from the state of the products, or from the schedules that are due. */
import { z } from "zod";
import { defineQueue } from "./define.ts";

export const PlannerJob = z.strictObject({
  planId: z.uuid(),
  tenantId: z.string(),
  budget: z.int().min(1).max(1_000),
  fromSchedules: z.boolean(),
});
export type PlannerJob = z.infer<typeof PlannerJob>;

export const plannerQueue = defineQueue({
  name: "planner",
  payload: PlannerJob,
  concurrency: 1,
  jobId: ({ planId }) => `plan_${planId}`,
});
