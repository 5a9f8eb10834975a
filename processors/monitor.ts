/** monitor → the look that the job names. */
import { monitorQueue } from "../queues/monitor.ts";
import { makeCheckpoint } from "../src/conductor/checkpoints.ts";
import { watchInvariants } from "../src/conductor/invariants.ts";
import { sweepShard } from "../src/conductor/monitor.ts";
import { reconcile } from "../src/conductor/reconcile.ts";
import { defineProcessor } from "./define.ts";

export const monitorProcessor = defineProcessor(monitorQueue, async (fleet, job) => {
  if (job.look === "sweep") await sweepShard(fleet, job);
  else if (job.look === "reconcile") await reconcile(fleet);
  else if (job.look === "checkpoint") await makeCheckpoint(fleet);
  else await watchInvariants(fleet);
});
