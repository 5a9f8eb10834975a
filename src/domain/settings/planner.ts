/** fleet.yaml `planner`: planning from the state of the products. */
import { z } from "zod";

export const PlannerSettings = z
  .strictObject({
    everyMinutes: z
      .int()
      .min(5)
      .max(10_080)
      .optional()
      .describe("plans by itself so often; only when asked, when left out"),
    budget: z.int().min(1).max(1_000).default(10).describe("orders of one plan"),
    run: z.boolean().default(true).describe("false: they wait for fleet run"),
  })
  .prefault({})
  .describe("planning from the state of the products, beside their schedules");
