/** The payload of every queue whose jobs are hints about one task: where to look, and which epoch of it is meant. */
import { z } from "zod";

export const TaskJob = z.strictObject({
  taskId: z.uuid(),
  /** A job whose epoch is not the row's is a no-op that completes. */
  epoch: z.int().min(1),
  traceId: z.string().max(64).optional(),
});
export type TaskJob = z.infer<typeof TaskJob>;

export function taskJobId(kind: string): (job: TaskJob) => string {
  return ({ taskId, epoch }) => `${kind}_${taskId}_e${epoch}`;
}
