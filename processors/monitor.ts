/** monitor → the look that the job names. */
import { monitorQueue } from "../queues/monitor.ts";
import { makeCheckpoint } from "../src/conductor/audit/checkpoints.ts";
import { watchInvariants } from "../src/conductor/watch/invariants.ts";
import { sweepShard } from "../src/conductor/monitor/sweep.ts";
import { reconcile } from "../src/conductor/monitor/reconcile.ts";
import { ANOTHER_IS_AT_IT, defineProcessor } from "./define.ts";

export const monitorProcessor = defineProcessor(monitorQueue, async (fleet, job) => {
  if (job.look === "sweep") return (await sweepShard(fleet, job)) ?? ANOTHER_IS_AT_IT;
  if (job.look === "reconcile") return (await reconcile(fleet)) ?? ANOTHER_IS_AT_IT;
  if (job.look === "checkpoint") return (await makeCheckpoint(fleet)) ?? ANOTHER_IS_AT_IT;
  return watchInvariants(fleet);
});
