/** What a schedule is: a job that asks for itself, at an even pace. */
import type { z } from "zod";
import type { QueueDefinition } from "../queues/define.ts";

export interface Schedule<Payload extends z.ZodType = z.ZodType> {
  /** `<queue>/<what>`; the first half says whose it is. */
  readonly id: string;
  readonly queue: QueueDefinition<Payload>;
  /** Its pace; with a pattern, the longest pause between two ticks. */
  readonly everyMs: number;
  /** A cron pattern in UTC, for ticks at certain times of the day. */
  readonly pattern?: string | undefined;
  readonly payload: z.output<Payload>;
}

export function defineSchedule<Payload extends z.ZodType>(schedule: Schedule<Payload>): Schedule<Payload> {
  return Object.freeze(schedule);
}
