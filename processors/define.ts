/** What a processor is: a queue, and the use case that answers its jobs. */
import type { z } from "zod";
import type { QueueDefinition } from "../queues/define.ts";
import type { Fleet } from "../src/conductor/fleet.ts";
import { read } from "../src/domain/errors.ts";

export interface Processor {
  readonly queue: QueueDefinition;
  /** The signal says: stop soon, this job is no longer yours (its lock was lost, or the process shuts down). */
  readonly answer: (fleet: Fleet, data: unknown, signal: AbortSignal) => Promise<unknown>;
}

export function defineProcessor<Payload extends z.ZodType>(
  queue: QueueDefinition<Payload>,
  run: (fleet: Fleet, payload: z.output<Payload>, signal: AbortSignal) => Promise<unknown>,
): Processor {
  return { queue, answer: async (fleet, data, signal) => run(fleet, read(queue.payload, data), signal) };
}
