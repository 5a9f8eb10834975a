/** /orders: making work orders, having them carried out, and looking at them. */
import { z } from "zod";
import type { Fleet } from "../../conductor/fleet.ts";
import {
  addOrder,
  getOrderNamed,
  listOrdersFor,
  planRun,
  requestBatch,
  type PlannedRun,
} from "../../conductor/orders/requests.ts";
import { FleetError } from "../../domain/errors.ts";
import type { Operator } from "../../domain/operator.ts";
import { Intent, OrderRequest, OrderStatus } from "../../domain/orders/order.ts";
import { AddedOrder, BatchView, OneRunRequest, OrderView, RunRequest, viewOrder } from "../../views/orders/order.ts";
import { PageQuery, pageOf, viewPage } from "../../views/page.ts";
import { defineRoute } from "../route.ts";
import { decodeCursor, encodeCursor } from "./cursor.ts";

const OrderParams = z.strictObject({
  order: z.string().min(2).max(64).meta({ description: "Id, prefix of an id, or short name" }),
});

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
    summary: "Make a work order",
    description:
      "It is pending until it is run. An open order of the same product, intent and subject takes its place.",
    body: OrderRequest,
    reply: AddedOrder,
    statuses: { 201: "a new order", 200: "the one that was there" },
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
    params: OrderParams,
    reply: OrderView,
    errors: ["not-found", "ambiguous-name"],
  },
  async (fleet: Fleet, { operator, params }) => ({
    body: viewOrder(await getOrderNamed(fleet, operator, params.order)),
  }),
);

export const runOrdersRoute = defineRoute(
  {
    method: "post",
    path: "/api/fleet/orders/run",
    tier: "builder",
    summary: "Have pending orders carried out, one after another, the most urgent first",
    body: RunRequest,
    reply: BatchView,
    statuses: { 200: "asked for, or nothing to do" },
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
    summary: "Have one order carried out; one that was asked for already goes on as it is",
    params: OrderParams,
    body: OneRunRequest,
    reply: BatchView,
    errors: ["not-found", "ambiguous-name", "product-stopped", "stopped", "invalid-transition"],
  },
  async (fleet: Fleet, { operator, params, body }) => {
    const { planned } = await planRun(fleet, operator, { budget: 1, order: params.order });
    const completed = planned.find(({ order }) => order.completedAt !== null);
    if (completed) {
      const message = `Order ${params.order} is ${completed.order.status}. Make a new one: fleet orders add ${completed.order.productId} ${completed.order.intent}`;
      throw new FleetError("invalid-transition", message, { status: completed.order.status });
    }
    const batch = body.dryRun ? { batchId: null, planned } : await startBatch(fleet, operator, planned);
    return { body: { dryRun: body.dryRun, refused: [], ...viewBatch(batch) } };
  },
);

interface Batch {
  readonly batchId: string | null;
  readonly planned: readonly PlannedRun[];
}

/** As they are once they were asked for: of two who ask at once, each is told of what is theirs. */
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
