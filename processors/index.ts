/** All processors, one for each queue. A host's own processor is created for the host it runs on. */
import { ciProcessor } from "./ci.ts";
import type { Processor } from "./define.ts";
import { driftProcessor } from "./drift.ts";
import { gcProcessor } from "./gc.ts";
import { monitorProcessor } from "./monitor.ts";
import { notifyProcessor } from "./notify.ts";
import { ordersProcessor } from "./orders.ts";
import { plannerProcessor } from "./planner.ts";
import { retryProcessor } from "./retry.ts";
import { reviewProcessor } from "./review.ts";
import { spawnProcessor } from "./spawn.ts";

export { hostProcessor } from "./host.ts";

export const PROCESSORS: readonly Processor[] = [
  plannerProcessor,
  ordersProcessor,
  spawnProcessor,
  monitorProcessor,
  ciProcessor,
  reviewProcessor,
  retryProcessor,
  notifyProcessor,
  gcProcessor,
  driftProcessor,
];
