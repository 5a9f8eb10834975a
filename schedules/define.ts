/** The definition of a schedule: a job that repeats at a fixed interval or by a cron pattern. */
import type { z } from "zod";
import type { QueueDefinition } from "../queues/define.ts";

export interface Schedule<Payload extends z.ZodType = z.ZodType> {
  /** `<queue>/<what>`. */
  readonly id: string;
  readonly queue: QueueDefinition<Payload>;
  /** The interval; with a pattern, the longest time between two ticks. */
  readonly everyMs: number;
  /** A cron pattern in UTC, for ticks at certain times of day. */
  readonly pattern?: string | undefined;
  readonly payload: z.output<Payload>;
}

export function defineSchedule<Payload extends z.ZodType>(schedule: Schedule<Payload>): Schedule<Payload> {
  return Object.freeze(schedule);
}
