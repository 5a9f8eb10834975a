/** /orders: adding, running and reading work orders. */
import { z } from "zod";
import type { Fleet } from "../../conductor/fleet.ts";
import { addOrder, listOrdersFor, planRun, requestBatch, type PlannedRun } from "../../conductor/orders/requests.ts";
import { FleetError } from "../../domain/errors.ts";
import type { Operator } from "../../domain/operator.ts";
import { Intent, OrderRequest, OrderStatus } from "../../domain/orders/order.ts";
import { shortId } from "../../domain/task/task.ts";
import { AddedOrder, BatchView, OneRunRequest, OrderView, RunRequest, viewOrder } from "../../views/orders/order.ts";
import { PageQuery, pageOf, viewPage } from "../../views/page.ts";
import { defineRoute } from "../route.ts";
import { decodeCursor, encodeCursor } from "./cursor.ts";
import { visibleOrder } from "./params.ts";

const OrdersQuery = PageQuery.extend({
  product: z.string().max(64).optional(),
  intent: Intent.optional(),
  status: OrderStatus.optional(),
  plan: z.uuid().optional(),
  batch: z.uuid().optional(),
});

export const ordersRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/orders",
    tier: "observer",
    summary: "Work orders, newest first",
    query: OrdersQuery,
    reply: pageOf(OrderView),
  },
  async (fleet: Fleet, { operator, query }) => {
    const { orders, next } = await listOrdersFor(fleet, operator, {
      productId: query.product,
      intent: query.intent,
      status: query.status,
      planId: query.plan,
      batchId: query.batch,
      before: query.cursor === undefined ? undefined : decodeCursor(query.cursor),
      limit: query.limit,
    });
    return { body: viewPage({ items: orders, nextCursor: next ? encodeCursor(next) : null }, viewOrder) };
  },
);

export const addOrderRoute = defineRoute(
  {
    method: "post",
    path: "/api/fleet/orders",
    tier: "builder",
    summary: "Add a work order",
    description:
      "It is pending until it is run. If an order of the same product, intent and subject is open, that one is returned.",
    body: OrderRequest,
    reply: AddedOrder,
    statuses: { 201: "a new order", 200: "the order that was open already" },
    errors: ["not-found", "product-stopped", "stopped", "stale-version"],
  },
  async (fleet: Fleet, { operator, body }) => {
    const { order, repeated } = await addOrder(fleet, operator, body);
    return { status: repeated ? 200 : 201, body: { ...viewOrder(order), repeated } };
  },
);

export const orderRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/orders/:order",
    tier: "observer",
    summary: "One work order",
    params: visibleOrder,
    reply: OrderView,
  },
  async (_fleet: Fleet, { params: { order } }) => ({ body: viewOrder(order) }),
);

export const runOrdersRoute = defineRoute(
  {
    method: "post",
    path: "/api/fleet/orders/run",
    tier: "builder",
    summary: "Run pending orders, one after another, the most urgent first",
    body: RunRequest,
    reply: BatchView,
    statuses: { 200: "requested, or nothing to do" },
    errors: ["not-found"],
  },
  async (fleet: Fleet, { operator, body }) => {
    const { planned, refused } = await planRun(fleet, operator, { budget: body.budget, productId: body.product });
    const batch = body.dryRun ? { batchId: null, planned } : await startBatch(fleet, operator, planned);
    return { body: { dryRun: body.dryRun, refused: [...refused], ...viewBatch(batch) } };
  },
);

export const runOrderRoute = defineRoute(
  {
    method: "post",
    path: "/api/fleet/orders/:order/run",
    tier: "builder",
    summary: "Run one order; if its run was requested already, nothing changes",
    params: visibleOrder,
    body: OneRunRequest,
    reply: BatchView,
    errors: ["product-stopped", "stopped", "invalid-transition"],
  },
  async (fleet: Fleet, { operator, params: { order }, body }) => {
    const { planned } = await planRun(fleet, operator, { budget: 1, order });
    if (order.completedAt !== null) {
      const { id, status, productId, intent } = order;
      const message = `Order ${shortId(id)} is ${status}. Add a new one: fleet orders add ${productId} ${intent}`;
      throw new FleetError("invalid-transition", message, { status });
    }
    const batch = body.dryRun ? { batchId: null, planned } : await startBatch(fleet, operator, planned);
    return { body: { dryRun: body.dryRun, refused: [], ...viewBatch(batch) } };
  },
);

interface Batch {
  readonly batchId: string | null;
  readonly planned: readonly PlannedRun[];
}

/** The orders as they are once requested: of two concurrent requests, each gets only the orders that it started. */
async function startBatch(fleet: Fleet, by: Operator, planned: readonly PlannedRun[]): Promise<Batch> {
  if (planned.length === 0) return { batchId: null, planned };
  const { batchId, requested } = await requestBatch(
    fleet,
    by,
    planned.map(({ order }) => order.id),
  );
  const [only] = planned;
  if (requested.length === 0 && planned.length === 1 && only) return { batchId: only.order.batchId, planned };
  const requestedById = new Map(requested.map((order) => [order.id, order]));
  const started = planned.flatMap((one) => {
    const order = requestedById.get(one.order.id);
    return order ? [{ ...one, order }] : [];
  });
  return { batchId: started.length > 0 ? batchId : null, planned: started };
}

function viewBatch({ batchId, planned }: Batch): Pick<BatchView, "batchId" | "orders"> {
  const orders = planned.map(({ order, repository, branch, actions, evidence }) => ({
    order: viewOrder(order),
    workingCopy: { repository, branch },
    commands: actions.map(({ step, argv }) => ({ step, argv: [...argv] })),
    evidence: [...evidence],
  }));
  return { batchId, orders };
}
