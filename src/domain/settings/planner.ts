/** fleet.yaml `planner`: planning from the state of the products. */
import { z } from "zod";

export const PlannerSettings = z
  .strictObject({
    everyMinutes: z
      .int()
      .min(5)
      .max(10_080)
      .optional()
      .describe("interval of automatic planning; without it, plans are only made on request"),
    budget: z.int().min(1).max(1_000).default(10).describe("how many orders a plan may contain"),
    run: z.boolean().default(true).describe("false: the orders wait for fleet run"),
  })
  .prefault({})
  .describe("planning from the state of the products, in addition to their schedules");
