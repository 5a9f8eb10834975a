/** fleet.yaml `gc`: what is retained, and for how long. */
import { z } from "zod";
import { Minutes } from "../product.ts";
import { Days } from "./schemas.ts";

export const GcSettings = z
  .strictObject({
    keepRuns: z.int().min(1).max(10_000).default(10).describe("how many of the newest runs of each product are kept"),
    graceMinutes: Minutes.default(1_440).describe("time between quarantine and deletion"),
    keepSnapshotsDays: Days.default(30),
    keepMirrorsDays: Days.default(30).describe("counted from when a task last used the mirror"),
    keepAuditMonths: z
      .int()
      .min(1)
      .max(240)
      .optional()
      .describe("whole months of the audit log, never shorter than its tasks are kept; the default keeps all"),
    auditExportFirst: z
      .boolean()
      .default(true)
      .describe("old months of the audit log are only removed after they were exported completely"),
    keepRowsDays: Days.default(90).describe("for ended tasks and orders with their events and notifications"),
  })
  .prefault({})
  .describe("what is kept, and for how long");
