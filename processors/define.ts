/** The definition of a processor: a queue, and the use case that handles its jobs. */
import type { z } from "zod";
import type { QueueDefinition } from "../queues/define.ts";
import type { Fleet } from "../src/conductor/fleet.ts";
import { recordCheckRun } from "../src/conductor/watch/checks.ts";
import { parseInput } from "../src/domain/errors.ts";

export interface Processor {
  readonly queue: QueueDefinition;
  /** Handles a job. When the signal fires, it should stop soon: the job's lock was lost, or the process is shutting down. */
  readonly handle: (fleet: Fleet, data: unknown, signal: AbortSignal) => Promise<unknown>;
}

export function defineProcessor<Payload extends z.ZodType>(
  queue: QueueDefinition<Payload>,
  run: (fleet: Fleet, payload: z.output<Payload>, signal: AbortSignal) => Promise<unknown>,
): Processor {
  return {
    queue,
    async handle(fleet, data, signal) {
      const payload = parseInput(queue.payload, data);
      const from = performance.now();
      const result = await run(fleet, payload, signal);
      if (SCHEDULED_QUEUES.has(queue.name) && result !== LOCK_HELD) {
        const found = typeof result === "object" && result !== null ? { result } : {};
        await recordCheckRun(fleet, {
          queue: queue.name,
          payload,
          tookMs: Math.round(performance.now() - from),
          ...found,
        });
      }
      return result;
    },
  };
}

/** The queues of the fleet's own schedules. Completed jobs are recorded, so that a check that stops running is noticed. */
const SCHEDULED_QUEUES: ReadonlySet<string> = new Set(["monitor", "planner", "drift", "gc"]);

/** The result of a job when another worker holds the lock; that worker records the run. */
export const LOCK_HELD = false;
