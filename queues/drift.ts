/** drift: compare declared with actual, and report; and reread the research dossiers. Both look, and change nothing they look at. */
import { z } from "zod";
import { defineQueue } from "./define.ts";

const REQUESTED_FIELDS = { tenantId: z.string(), productId: z.string().optional(), lookId: z.uuid() };

export const DriftJob = z.discriminatedUnion("kind", [
  /** Scheduled: scans every product of every tenant, and the fleet itself. */
  z.strictObject({ kind: z.literal("fleet") }),
  z.strictObject({ kind: z.literal("science") }),
  /** Requested by an operator: scans one tenant's products, or one of them, now. */
  z.strictObject({ kind: z.literal("requested"), ...REQUESTED_FIELDS }),
  z.strictObject({ kind: z.literal("requested-science"), ...REQUESTED_FIELDS }),
]);
export type DriftJob = z.infer<typeof DriftJob>;

/** Scheduled jobs get their ids from the job scheduler. */
export const driftQueue = defineQueue({
  name: "drift",
  payload: DriftJob,
  attempts: 2,
  concurrency: 1,
  jobId: (job) => ("lookId" in job ? `drift_${job.kind}_${job.lookId}` : `drift_${job.kind}`),
});
