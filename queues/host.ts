/** host.<hostId>: what only the machine that holds the agent can do. One queue per host, one definition. */
import { z } from "zod";
import { defineQueue, type QueueDefinition } from "./define.ts";
import { TaskJob } from "./task-job.ts";

export const HostAct = z.enum(["resume-spawn", "stop", "publish", "clean-up", "nudge"]);
export type HostAct = z.infer<typeof HostAct>;

export const HostJob = TaskJob.extend({ act: HostAct });
export type HostJob = z.infer<typeof HostJob>;

export type HostQueue = QueueDefinition<typeof HostJob>;

export function hostQueue(hostId: string): HostQueue {
  return defineQueue({
    name: `host.${hostId}`,
    payload: HostJob,
    jobId: ({ act, taskId, epoch }) => `${act}_${taskId}_e${epoch}`,
  });
}
