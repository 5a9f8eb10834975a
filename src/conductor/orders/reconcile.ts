/** The reconciler's look at orders: lost hints are given again, and orders of dead workers handed to living ones. */
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
import type { Order } from "../../domain/orders/order.ts";

/** Of each kind, in one pass. */
const MAX_PER_PASS = 200;
/** A hint is not missed before this. */
const GRACE_MS = 3_000;
/** How long an order looked after is left alone. */
const RECHECK_MS = 5_000;
/** Takeovers after dead workers; what kills five of them would kill the sixth. */
const MAX_CRASHES = 5;

/** How many were given again or taken over. */
export async function reconcileOrders(fleet: Fleet): Promise<number> {
  return (await takeOverExpiredOrders(fleet)) + (await reissueOverdueOrders(fleet));
}

/** A job that is gone is added again; one that is there is waited for; one that is spent gets a new epoch. */
async function reissueOverdueOrders(fleet: Fleet): Promise<number> {
  const overdue = await fleet.store.asSystem((tx) => listOverdueOrders(tx, GRACE_MS, MAX_PER_PASS));
  if (overdue.length === 0) return 0;
  const jobs = overdue.map(({ id, epoch }) => ({ queue: ordersQueue, payload: { orderId: id, epoch } }));
  const ids = jobs.map(({ queue, payload }) => queue.jobId(payload));
  const states = await fleet.broker.getJobStatuses(ordersQueue, ids);
  const stateAt = (at: number) => states.get(ids[at] ?? "") ?? "missing";
  const lost = jobs.filter((_, at) => stateAt(at) === "missing");
  const spent = overdue.filter((_, at) => stateAt(at) === "completed" || stateAt(at) === "failed");
  await fleet.broker.addJobs(lost);
  await fleet.store.asSystem(async (tx) => {
    const checked = overdue.filter((order) => !spent.includes(order)).map(({ id }) => id);
    await postponeOrders(tx, checked, RECHECK_MS);
    if (spent.length === 0) return;
    const spentIds = spent.map(({ id }) => id);
    await reissueOrders(tx, spentIds, RECHECK_MS);
  });
  fleet.kickRelay();
  return lost.length + spent.length;
}

/** Their runs are ended, and the epoch rises: a worker that only slept cannot settle any more. */
async function takeOverExpiredOrders(fleet: Fleet): Promise<number> {
  const at = fleet.clock();
  const reason = `worker_crashes: the worker died ${MAX_CRASHES + 1} times over it`;
  const taken = await fleet.store.asSystem(async (tx): Promise<Order[]> => {
    const ids = await lockExpiredOrders(tx, MAX_PER_PASS);
    if (ids.length === 0) return [];
    const moved = await takeOverOrders(tx, ids, { mostCrashes: MAX_CRASHES, reason, at });
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
    fleet.log.warn({ event: "orders.taken_over", orders: taken.map(({ id }) => id) }, "orders of dead workers go on");
    fleet.kickRelay();
  }
  return taken.length;
}
