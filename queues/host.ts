/** host.<hostId>: work that only the host with the agent or the files can do. Each host has its own queue with this definition. */
import { z } from "zod";
import { defineQueue, type QueueDefinition } from "./define.ts";
import { TaskJob } from "./task-job.ts";

export const HostAction = z.enum(["resume-spawn", "stop", "publish", "clean-up", "nudge"]);
export type HostAction = z.infer<typeof HostAction>;

/** A job about one task. */
export const HostTaskJob = TaskJob.extend({ act: HostAction });
export type HostTaskJob = z.infer<typeof HostTaskJob>;

/** A job for garbage collection on the host's disk; the row of the report has the details. */
const HostGcJob = z.strictObject({ act: z.literal("gc"), reportId: z.uuid() });

export const HostJob = z.discriminatedUnion("act", [HostTaskJob, HostGcJob]);
export type HostJob = z.infer<typeof HostJob>;

export type HostQueue = QueueDefinition<typeof HostJob>;

export function hostQueue(hostId: string): HostQueue {
  return defineQueue({
    name: `host.${hostId}`,
    payload: HostJob,
    jobId: (job) => (job.act === "gc" ? `gc_${job.reportId}` : `${job.act}_${job.taskId}_e${job.epoch}`),
  });
}
