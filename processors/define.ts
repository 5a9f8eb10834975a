/** What a processor is: a queue, and the use case that answers its jobs. */
import type { z } from "zod";
import type { QueueDefinition } from "../queues/define.ts";
import type { Fleet } from "../src/conductor/fleet.ts";
import { noteRun } from "../src/conductor/watch/health.ts";
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
  return {
    queue,
    async answer(fleet, data, signal) {
      const payload = read(queue.payload, data);
      const from = performance.now();
      const result = await run(fleet, payload, signal);
      if (BY_THE_CLOCK.has(queue.name) && result !== ANOTHER_IS_AT_IT) {
        const found = typeof result === "object" && result !== null ? { result } : {};
        await noteRun(fleet, { queue: queue.name, payload, tookMs: Math.round(performance.now() - from), ...found });
      }
      return result;
    },
  };
}

/** Whose jobs the fleet's own schedules ask for: each that ran to its end is noted, so that one that does not is missed. */
const BY_THE_CLOCK: ReadonlySet<string> = new Set(["monitor", "planner", "drift", "gc"]);

/** What a processor answers when another worker holds the lock: then that one notes it. */
export const ANOTHER_IS_AT_IT = false;
