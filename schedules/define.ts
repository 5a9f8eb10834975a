/** What a schedule is: a job that asks for itself, at an even pace. */
import type { z } from "zod";
import type { QueueDefinition } from "../queues/define.ts";

export interface Schedule<Payload extends z.ZodType = z.ZodType> {
  /** `<queue>/<what>`; the first half says whose it is. */
  readonly id: string;
  readonly queue: QueueDefinition<Payload>;
  readonly everyMs: number;
  readonly payload: z.output<Payload>;
}

export function defineSchedule<Payload extends z.ZodType>(schedule: Schedule<Payload>): Schedule<Payload> {
  return Object.freeze(schedule);
}
