/** fleet.yaml `retry`: the delays between attempts, and how many attempts there may be. */
import { z } from "zod";
import { Ms } from "./schemas.ts";

export const RetrySettings = z
  .strictObject({
    baseDelayMs: Ms.default(30_000),
    capMs: Ms.default(120_000),
    maxRounds: z
      .int()
      .min(1)
      .max(100)
      .default(10)
      .describe("attempts of one task, including those that do not count as a retry"),
  })
  .prefault({});
