/** monitor: look at a shard of live tasks, at one repository, at the waiting work, at the invariants, or at the audit chains. */
import { z } from "zod";
import { defineQueue } from "./define.ts";

export const MonitorJob = z.discriminatedUnion("kind", [
  /** Decide about every live task whose hash falls into the shard. */
  z.strictObject({ kind: z.literal("sweep"), shard: z.int().min(0), of: z.int().min(1) }),
  /** Hand out again what waits too long: lost hints, expired leases, leaked slots. */
  z.strictObject({ kind: z.literal("reconcile") }),
  z.strictObject({ kind: z.literal("invariants") }),
  /** Sign how the audit chains stand. */
  z.strictObject({ kind: z.literal("checkpoint") }),
]);
export type MonitorJob = z.infer<typeof MonitorJob>;

/** Ticks come from job schedulers, which name their jobs themselves; this id is for a look asked by hand. */
export const monitorQueue = defineQueue({
  name: "monitor",
  payload: MonitorJob,
  attempts: 1,
  concurrency: 4,
  jobId: (job) => (job.kind === "sweep" ? `monitor_sweep-${job.shard}-of-${job.of}` : `monitor_${job.kind}`),
});
