/** The reconciler for orders: replaces lost jobs, and hands the orders of dead workers to other workers. */
import { ordersQueue } from "../../../queues/orders.ts";
import { orderEvent } from "../../domain/notify/event.ts";
import {
  listOverdueOrders,
  lockExpiredOrders,
  postponeOrders,
  reissueOrders,
  takeOverOrders,
} from "../../store/order-claims.ts";
import { advanceBatches, insertOrderHints } from "../../store/orders.ts";
import { insertEvents } from "../../store/outbox.ts";
import type { Fleet } from "../fleet.ts";
import { requeueLost } from "../requeue.ts";
import type { Order } from "../../domain/orders/order.ts";

/** Of each kind, in one pass. */
const MAX_PER_PASS = 200;
/** A hint does not count as lost before this. */
const GRACE_MS = 3_000;
/** How long an order is left alone after a check. */
const RECHECK_MS = 5_000;
/** Takeovers after worker crashes: an order that crashes five workers would crash the sixth. */
const MAX_CRASHES = 5;

/** Returns how many were queued again or taken over. */
export async function reconcileOrders(fleet: Fleet): Promise<number> {
  return (await takeOverExpiredOrders(fleet)) + (await reissueOverdueOrders(fleet));
}

async function reissueOverdueOrders(fleet: Fleet): Promise<number> {
  const overdue = await fleet.store.asSystem((tx) => listOverdueOrders(tx, GRACE_MS, MAX_PER_PASS));
  if (overdue.length === 0) return 0;
  const { lost, spent, queued } = await requeueLost(fleet, ordersQueue, overdue, ({ id: orderId, epoch }) => ({
    orderId,
    epoch,
  }));
  await fleet.store.asSystem(async (tx) => {
    await postponeOrders(tx, idsOf(queued), RECHECK_MS);
    await reissueOrders(tx, idsOf(spent), RECHECK_MS);
  });
  fleet.kickRelay();
  return lost.length + spent.length;
}

function idsOf(orders: readonly Order[]): string[] {
  return orders.map(({ id }) => id);
}

/** Ends their runs under a new epoch, so that a worker that was only suspended cannot settle them any more. */
async function takeOverExpiredOrders(fleet: Fleet): Promise<number> {
  const at = fleet.clock();
  const reason = `worker_crashes: the worker crashed ${MAX_CRASHES + 1} times during this order`;
  const taken = await fleet.store.asSystem(async (tx): Promise<Order[]> => {
    const ids = await lockExpiredOrders(tx, MAX_PER_PASS);
    if (ids.length === 0) return [];
    const moved = await takeOverOrders(tx, ids, { maxCrashes: MAX_CRASHES, reason, at });
    await insertOrderHints(
      tx,
      moved.filter(({ status }) => status === "pending").map(({ id }) => id),
    );
    const failed = moved.filter(({ status, batchId }) => status === "failed" && batchId !== null);
    await advanceBatches(tx, [...new Set(failed.map(({ batchId }) => batchId ?? ""))]);
    await insertEvents(
      tx,
      moved.map((order) => orderEvent({ order, from: "running", actor: fleet.worker, at })),
    );
    return moved;
  });
  if (taken.length > 0) {
    fleet.log.warn(
      { event: "orders.taken_over", orders: taken.map(({ id }) => id) },
      "took over orders from dead workers",
    );
    fleet.kickRelay();
  }
  return taken.length;
}
