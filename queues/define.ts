/** The definition of a queue as data: its name, its payload, and how its jobs are retried, retained and identified. */
import type { z } from "zod";

export interface QueueDefinition<Payload extends z.ZodType = z.ZodType> {
  readonly name: string;
  readonly payload: Payload;
  /** How often BullMQ tries a job before it fails for good. */
  readonly attempts: number;
  /** The first delay between tries; it doubles each time, with jitter. */
  readonly backoffMs: number;
  /** How many jobs one worker process runs at a time. */
  readonly concurrency: number;
  readonly keepCompleted: Retention;
  readonly keepFailed: Retention;
  /** 1 is the highest priority; 0, BullMQ's default, means in order of arrival. */
  readonly priority: (payload: z.output<Payload>) => number;
  /** Returns the job's id. BullMQ ignores a job whose id exists, even as a retained finished job, so the id contains the epoch. It refuses ids with `:`. */
  readonly jobId: (payload: z.output<Payload>) => string;
}

interface Retention {
  readonly count: number;
  readonly ageMs: number;
}

type QueueOptions<Payload extends z.ZodType> = Pick<QueueDefinition<Payload>, "name" | "payload" | "jobId"> &
  Partial<QueueDefinition<Payload>>;

const HOUR_MS = 3_600_000;

/** Finished jobs are bounded by count and age; failed ones are retained longer for inspection. */
const DEFAULTS = {
  attempts: 5,
  backoffMs: 1_000,
  concurrency: 8,
  keepCompleted: { count: 1_000, ageMs: HOUR_MS },
  keepFailed: { count: 5_000, ageMs: 24 * HOUR_MS },
  priority: () => 0,
};

export function defineQueue<Payload extends z.ZodType>(options: QueueOptions<Payload>): QueueDefinition<Payload> {
  return Object.freeze({ ...DEFAULTS, ...options });
}
