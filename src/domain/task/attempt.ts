/** One attempt of a task as stored in its row: where it ran, what it used, how it ended. */
import { z } from "zod";
import { AgentType, FailureContext } from "./task.ts";

export const Attempt = z.object({
  taskId: z.uuid(),
  attempt: z.int(),
  dispatchId: z.uuid(),
  host: z.string(),
  agentType: AgentType,
  model: z.string().nullable(),
  startSha: z.string().nullable(),
  headSha: z.string().nullable(),
  contextHash: z.string().nullable(),
  outcome: z.string().nullable(),
  failureContext: FailureContext.nullable(),
  startedAt: z.date(),
  runningAt: z.date().nullable(),
  endedAt: z.date().nullable(),
  closedAt: z.date().nullable(),
});
export type Attempt = z.infer<typeof Attempt>;
