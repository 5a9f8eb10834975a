/** gc: prune what is past its keeping: finished jobs, told outbox rows, old notifications. */
import { z } from "zod";
import { defineQueue } from "./define.ts";

export const GcJob = z.strictObject({ what: z.literal("rows") });
export type GcJob = z.infer<typeof GcJob>;

export const gcQueue = defineQueue({ name: "gc", payload: GcJob, attempts: 1, concurrency: 1, jobId: () => "gc_rows" });
