/** notify: delivers one notification to one channel. */
import { z } from "zod";
import { defineQueue } from "./define.ts";

export const NotifyJob = z.strictObject({
  notificationId: z.uuid(),
  epoch: z.int().min(1),
});
export type NotifyJob = z.infer<typeof NotifyJob>;

export const notifyQueue = defineQueue({
  name: "notify",
  payload: NotifyJob,
  concurrency: 16,
  jobId: ({ notificationId, epoch }) => `notify_${notificationId}_e${epoch}`,
});
