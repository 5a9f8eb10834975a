/** fleet.yaml `governance`: when waiting and refusals become an alert. */
import { z } from "zod";
import { Minutes } from "../product.ts";

export const Governance = z
  .strictObject({
    overload: z
      .strictObject({
        waitMinutes: Minutes.default(15).describe("for a free host, before FLEET_OVERLOAD"),
        queueDepth: z
          .int()
          .min(1)
          .max(1_000_000)
          .default(100)
          .describe("tasks that may wait for one, before FLEET_OVERLOAD"),
      })
      .prefault({})
      .describe("it is over when both are below half"),
    denials: z
      .strictObject({
        spawns: z
          .int()
          .min(1)
          .max(1_000_000)
          .default(50)
          .describe("refused to one operator within `minutes`, before GOVERNANCE_ALERT"),
        minutes: z.int().min(1).max(60).default(5),
      })
      .prefault({})
      .describe("it is over when they are below half"),
  })
  .prefault({});
