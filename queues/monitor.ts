/** monitor: checks a shard of the live tasks, the waiting work or the invariants, or signs a checkpoint of the audit chains. */
import { z } from "zod";
import { defineQueue } from "./define.ts";

export const MonitorJob = z.discriminatedUnion("kind", [
  /** Decides about every live task whose hash falls into the shard. */
  z.strictObject({ kind: z.literal("sweep"), shard: z.int().min(0), of: z.int().min(1) }),
  /** Repairs stuck work: lost jobs, expired leases, leaked slots. */
  z.strictObject({ kind: z.literal("reconcile") }),
  z.strictObject({ kind: z.literal("invariants") }),
  /** Signs the current heads of the audit chains. */
  z.strictObject({ kind: z.literal("checkpoint") }),
]);
export type MonitorJob = z.infer<typeof MonitorJob>;

/** Job schedulers assign their own ids to their jobs; this id is for a job that is added manually. */
export const monitorQueue = defineQueue({
  name: "monitor",
  payload: MonitorJob,
  attempts: 1,
  concurrency: 4,
  jobId: (job) => (job.kind === "sweep" ? `monitor_sweep-${job.shard}-of-${job.of}` : `monitor_${job.kind}`),
});
