/** All queues, except the `host.<hostId>` queue of each host. A queue that is not listed here does not exist. */
import { ciQueue } from "./ci.ts";
import type { QueueDefinition } from "./define.ts";
import { driftQueue } from "./drift.ts";
import { gcQueue } from "./gc.ts";
import { monitorQueue } from "./monitor.ts";
import { notifyQueue } from "./notify.ts";
import { ordersQueue } from "./orders.ts";
import { plannerQueue } from "./planner.ts";
import { retryQueue } from "./retry.ts";
import { reviewQueue } from "./review.ts";
import { spawnQueue } from "./spawn.ts";

export const QUEUES: readonly QueueDefinition[] = [
  plannerQueue,
  ordersQueue,
  spawnQueue,
  monitorQueue,
  ciQueue,
  reviewQueue,
  retryQueue,
  notifyQueue,
  gcQueue,
  driftQueue,
];
