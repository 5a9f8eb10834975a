/** ci → runCi. Afterwards the task is supervised at once, so that acting on the result does not wait for the sweep. */
import { ciQueue } from "../queues/ci.ts";
import { runCi } from "../src/conductor/delivery/ci.ts";
import { superviseTasks } from "../src/conductor/monitor/sweep.ts";
import { defineProcessor } from "./define.ts";

export const ciProcessor = defineProcessor(ciQueue, async (fleet, job, signal) => {
  const task = await runCi(fleet, job, signal);
  if (task) await superviseTasks(fleet, [task]);
});
