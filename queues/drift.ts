/** drift: compare declared with actual, and report. */
import { z } from "zod";
import { defineQueue } from "./define.ts";

export const DriftJob = z.strictObject({ tenantId: z.string(), productId: z.string().optional(), reportId: z.uuid() });
export type DriftJob = z.infer<typeof DriftJob>;

export const driftQueue = defineQueue({
  name: "drift",
  payload: DriftJob,
  concurrency: 1,
  jobId: ({ reportId }) => `drift_${reportId}`,
});
