/** monitor → sweepShard, reconcile, createCheckpoint or watchInvariants, by the kind of the job. */
import { monitorQueue } from "../queues/monitor.ts";
import { createCheckpoint } from "../src/conductor/audit/checkpoints.ts";
import { watchInvariants } from "../src/conductor/watch/invariants.ts";
import { sweepShard } from "../src/conductor/monitor/sweep.ts";
import { reconcile } from "../src/conductor/monitor/reconcile.ts";
import { LOCK_HELD, defineProcessor } from "./define.ts";

export const monitorProcessor = defineProcessor(monitorQueue, async (fleet, job) => {
  if (job.kind === "sweep") return (await sweepShard(fleet, job)) ?? LOCK_HELD;
  if (job.kind === "reconcile") return (await reconcile(fleet)) ?? LOCK_HELD;
  if (job.kind === "checkpoint") return (await createCheckpoint(fleet)) ?? LOCK_HELD;
  return watchInvariants(fleet);
});
