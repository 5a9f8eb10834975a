/** Requests of operators about orders: adding one, listing and finding them, previewing a run, and requesting one. */
import { FleetError } from "../../domain/errors.ts";
import type { Operator } from "../../domain/operator.ts";
import {
  DEFAULT_ORDER_BUDGET,
  DEFAULT_STOP_CONDITIONS,
  OrderBudget,
  type OrderRequest,
  WorkOrder,
  type Order,
} from "../../domain/orders/order.ts";
import { toActions, supportsIntent, requiredEvidence, type Action } from "../../domain/orders/run.ts";
import { shortId } from "../../domain/task/task.ts";
import { nextPageCursor } from "../../store/keyset.ts";
import { auditBy } from "../../store/operators.ts";
import * as orders from "../../store/orders.ts";
import type { OrderFilter } from "../../store/orders.ts";
import type { Fleet } from "../fleet.ts";
import { oneNamed } from "../name.ts";
import { getProduct } from "../products/find.ts";
import { assertNotStopped } from "../products/kill-switches.ts";
import { listProducts, type ProductState } from "../products/products.ts";

/** If an open order of the same product, intent and subject exists, it is returned instead of a new one. */
export async function addOrder(
  fleet: Fleet,
  by: Operator,
  request: OrderRequest,
): Promise<{ readonly order: Order; readonly repeated: boolean }> {
  const product = getProduct(fleet, by.tenantId, request.productId);
  await assertNotStopped(fleet, product);
  if (!supportsIntent(request.intent, product)) {
    throw new FleetError("invalid-input", `${product.id} has no ${request.intent} command. Add one to fleet.yaml.`);
  }
  const subject = String(request.inputs["dossier_id"] ?? "");
  const order = WorkOrder.parse({
    job_id: fleet.newId(),
    product_id: product.id,
    intent: request.intent,
    inputs: request.inputs,
    budget: OrderBudget.parse({ ...DEFAULT_ORDER_BUDGET[request.intent], ...request.budget }),
    stop_conditions: [...(request.stopConditions ?? DEFAULT_STOP_CONDITIONS[request.intent])],
    priority: request.priority,
    evidence_expectations: requiredEvidence(
      { intent: request.intent, evidenceExpectations: request.evidenceExpectations },
      product,
    ),
    created_at: fleet.clock().toISOString(),
  });
  const owner = { tenantId: by.tenantId, operatorId: by.id };
  const made = await fleet.store.asSystem(async (tx) => {
    const [added] = await orders.insertOrders(tx, owner, [{ order, source: "manual", subject }]);
    if (!added) return undefined;
    await auditBy(tx, by, "order.added", { orderId: added.id, productId: product.id, intent: request.intent });
    return added;
  });
  if (made) return { order: made, repeated: false };
  const open = await fleet.store.asSystem((tx) =>
    orders.findOpenOrder(tx, { tenantId: by.tenantId, productId: product.id, intent: request.intent, subject }),
  );
  if (!open) throw new FleetError("stale-version", "An order like this one has just ended. Try again.");
  return { order: open, repeated: true };
}

/** Newest first. */
export async function listOrdersFor(
  fleet: Fleet,
  by: Operator,
  filter: OrderFilter,
): Promise<{ readonly orders: readonly Order[]; readonly next: ReturnType<typeof nextPageCursor> }> {
  const rows = await fleet.store.as(by, (tx) => orders.listOrders(tx, { ...filter, limit: filter.limit + 1 }));
  return { orders: rows.slice(0, filter.limit), next: nextPageCursor(rows, filter.limit) };
}

/** By id, by a prefix of it, or by short name, within the tenant. */
export async function getOrderNamed(fleet: Fleet, by: Operator, name: string): Promise<Order> {
  const order = await oneNamed(name, {
    plural: "orders",
    find: (digits, limit) => fleet.store.as(by, (tx) => orders.listOrdersByName(tx, by.tenantId, digits, limit)),
    describe: ({ id, productId, intent }) => `${shortId(id)} (${productId} ${intent})`,
  });
  if (!order) throw new FleetError("not-found", `There is no order ${name}. See yours: fleet orders`, { name });
  return order;
}

/** One order, and what running it would do. */
export interface PlannedRun {
  readonly order: Order;
  readonly repository: string;
  readonly branch: string;
  readonly actions: readonly Action[];
  readonly evidence: readonly string[];
}

export interface RunOptions {
  readonly budget: number;
  readonly productId?: string | undefined;
  /** This one, whatever the budget. */
  readonly order?: Order | undefined;
}

export interface SkippedProduct {
  readonly productId: string;
  readonly reason: string;
}

/** What `fleet run` would do (read-only). Stopped products are left out and listed in `refused`. */
export async function planRun(
  fleet: Fleet,
  by: Operator,
  options: RunOptions,
): Promise<{ readonly planned: readonly PlannedRun[]; readonly refused: readonly SkippedProduct[] }> {
  const states = await listProducts(fleet, by);
  const stateOf = new Map(states.map((state) => [state.product.id, state]));
  if (options.order) {
    const { order } = options;
    const state = stateOf.get(order.productId);
    if (!state) throw new FleetError("not-found", `Product ${order.productId} is no longer in fleet.yaml.`);
    await assertNotStopped(fleet, state.product);
    if (!state.product.enabled) {
      throw new FleetError("product-stopped", `Product ${state.product.id} is not enabled in fleet.yaml.`);
    }
    return { planned: [plannedRun(order, state)], refused: [] };
  }
  if (options.productId !== undefined) getProduct(fleet, by.tenantId, options.productId);
  const wanted = states.filter(({ product }) => options.productId === undefined || product.id === options.productId);
  const products = wanted.filter((state) => blockedReason(state) === undefined).map(({ product }) => product.id);
  const found = await fleet.store.as(by, (tx) =>
    orders.listPendingOrders(tx, { tenantId: by.tenantId, products, limit: options.budget }),
  );
  const planned = found.flatMap((order) => {
    const state = stateOf.get(order.productId);
    return state ? [plannedRun(order, state)] : [];
  });
  const refused = wanted.flatMap((state) => {
    const reason = blockedReason(state);
    return reason === undefined ? [] : [{ productId: state.product.id, reason }];
  });
  return { planned, refused };
}

function blockedReason({ product, stop }: ProductState): string | undefined {
  return stop?.reason ?? (product.enabled ? undefined : "it is not enabled in fleet.yaml");
}

function plannedRun(order: Order, { product }: ProductState): PlannedRun {
  return {
    order,
    repository: product.repository,
    branch: product.baseBranch,
    actions: toActions(order.intent, product),
    evidence: requiredEvidence(order, product),
  };
}

/** Requests that these orders run, one after another. Orders that were requested before stay in their batch. */
export async function requestBatch(
  fleet: Fleet,
  by: Operator,
  ids: readonly string[],
): Promise<{ readonly batchId: string; readonly requested: readonly Order[] }> {
  const batchId = fleet.newId();
  const requested = await fleet.store.asSystem(async (tx) => {
    const rows = await orders.requestOrders(tx, ids, batchId);
    if (rows.length > 0) {
      await auditBy(tx, by, "orders.requested", { batchId, orders: rows.length, first: rows[0]?.id });
    }
    return rows;
  });
  fleet.kickRelay();
  return { batchId, requested };
}
