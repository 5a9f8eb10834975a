/** What a queue is: a name, the shape of its payload, and how its jobs are tried, kept and told apart. Data only. */
import type { z } from "zod";

export interface QueueDefinition<Payload extends z.ZodType = z.ZodType> {
  readonly name: string;
  readonly payload: Payload;
  /** How often BullMQ tries a job before it is dead. */
  readonly attempts: number;
  /** First pause between tries; doubles, with jitter. */
  readonly backoffMs: number;
  /** Jobs one worker process works on at a time. */
  readonly concurrency: number;
  readonly keepCompleted: Retention;
  readonly keepFailed: Retention;
  /** 1 is served first; 0 means in order of arrival (BullMQ's own default). */
  readonly priority: (payload: z.output<Payload>) => number;
  /** The job's id. Same id, same job, also while it is kept finished: so it carries an epoch. BullMQ refuses ids with `:`. */
  readonly jobId: (payload: z.output<Payload>) => string;
}

interface Retention {
  readonly count: number;
  readonly ageMs: number;
}

type QueueOptions<Payload extends z.ZodType> = Pick<QueueDefinition<Payload>, "name" | "payload" | "jobId"> &
  Partial<QueueDefinition<Payload>>;

const HOUR_MS = 3_600_000;

/** Finished jobs are bounded by count and by age, failed ones are kept longer to be looked at. */
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
