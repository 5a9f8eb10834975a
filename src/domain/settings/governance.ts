/** fleet.yaml `governance`: when waiting tasks and refused spawns raise an alert. */
import { z } from "zod";
import { Minutes } from "../product.ts";

export const Governance = z
  .strictObject({
    overload: z
      .strictObject({
        waitMinutes: Minutes.default(15).describe(
          "how long a task may wait for a free host before FLEET_OVERLOAD is raised",
        ),
        queueDepth: z
          .int()
          .min(1)
          .max(1_000_000)
          .default(100)
          .describe("how many tasks may wait for a host before FLEET_OVERLOAD is raised"),
      })
      .prefault({})
      .describe("the alert ends when both figures are below half of these limits"),
    denials: z
      .strictObject({
        spawns: z
          .int()
          .min(1)
          .max(1_000_000)
          .default(50)
          .describe(
            "how many spawns may be refused to one operator within `minutes` before GOVERNANCE_ALERT is raised",
          ),
        minutes: z.int().min(1).max(60).default(5),
      })
      .prefault({})
      .describe("the alert ends when the figure is below half of this limit"),
  })
  .prefault({});
