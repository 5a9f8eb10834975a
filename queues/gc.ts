/** gc: removes what is past retention: rows, and through each host the files on its disk. */
import { z } from "zod";
import { defineQueue } from "./define.ts";

export const GcJob = z.strictObject({ what: z.enum(["rows", "hosts"]) });
export type GcJob = z.infer<typeof GcJob>;

export const gcQueue = defineQueue({
  name: "gc",
  payload: GcJob,
  attempts: 1,
  concurrency: 1,
  jobId: ({ what }) => `gc_${what}`,
});
