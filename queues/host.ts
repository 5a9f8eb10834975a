/** host.<hostId>: what only the machine that holds the agent, or the files, can do. One queue per host, one definition. */
import { z } from "zod";
import { defineQueue, type QueueDefinition } from "./define.ts";
import { TaskJob } from "./task-job.ts";

export const HostAction = z.enum(["resume-spawn", "stop", "publish", "clean-up", "nudge"]);
export type HostAction = z.infer<typeof HostAction>;

/** About one task. */
export const HostTaskJob = TaskJob.extend({ act: HostAction });
export type HostTaskJob = z.infer<typeof HostTaskJob>;

/** About the machine's own disk: which ask, its row says. */
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
