/** The payload of queues whose jobs are hints about one task: which task, and which epoch of it. */
import { z } from "zod";

export const TaskJob = z.strictObject({
  taskId: z.uuid(),
  /** A job whose epoch differs from the row's completes without doing anything. */
  epoch: z.int().min(1),
  traceId: z.string().max(64).optional(),
});
export type TaskJob = z.infer<typeof TaskJob>;

export function taskJobId(kind: string): (job: TaskJob) => string {
  return ({ taskId, epoch }) => `${kind}_${taskId}_e${epoch}`;
}
