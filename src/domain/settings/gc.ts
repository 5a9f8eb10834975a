/** fleet.yaml `gc`: what is retained, and for how long. */
import { z } from "zod";
import { Minutes } from "../product.ts";
import { Days } from "./schemas.ts";

export const GcSettings = z
  .strictObject({
    keepRuns: z.int().min(1).max(10_000).default(10).describe("the newest of each product"),
    graceMinutes: Minutes.default(1_440).describe("between putting aside and deleting"),
    keepSnapshotsDays: Days.default(30),
    keepMirrorsDays: Days.default(30).describe("since a task last used one"),
    keepAuditMonths: z
      .int()
      .min(1)
      .max(240)
      .optional()
      .describe("whole months of the audit log, and never less than its tasks are kept; all of them when left out"),
    auditExportFirst: z
      .boolean()
      .default(true)
      .describe("old months of the audit log stay until the whole of it was exported"),
    keepRowsDays: Days.default(90).describe("of tasks and orders that are over, and of what they told"),
  })
  .prefault({})
  .describe("what is kept, and for how long");
