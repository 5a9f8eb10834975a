/** What a processor is: a queue, and the use case that answers its jobs. */
import type { z } from "zod";
import type { QueueDefinition } from "../queues/define.ts";
import type { Fleet } from "../src/conductor/fleet.ts";
import { recordCheckRun } from "../src/conductor/watch/checks.ts";
import { parseInput } from "../src/domain/errors.ts";

export interface Processor {
  readonly queue: QueueDefinition;
  /** The signal says: stop soon, this job is no longer yours (its lock was lost, or the process shuts down). */
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

/** Whose jobs the fleet's own schedules ask for: each that ran to its end is noted, so that one that does not is missed. */
const SCHEDULED_QUEUES: ReadonlySet<string> = new Set(["monitor", "planner", "drift", "gc"]);

/** What a processor answers when another worker holds the lock: then that one notes it. */
export const LOCK_HELD = false;
