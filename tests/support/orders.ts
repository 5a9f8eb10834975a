/** Orders for tests: products whose commands a test writes, and orders that are requested and run at once. */
import { randomUUID } from "node:crypto";
import { readdir, readFile, realpath } from "node:fs/promises";
import { join } from "node:path";
import { v7 } from "uuid";
import { runOrder } from "../../src/conductor/orders/run.ts";
import { requestBatch } from "../../src/conductor/orders/requests.ts";
import { DEFAULT_ORDER_BUDGET, DEFAULT_STOP_CONDITIONS, WorkOrder, type Order } from "../../src/domain/orders/order.ts";
import { Product } from "../../src/domain/product.ts";
import type { Operator } from "../../src/domain/operator.ts";
import { findOrder, insertOrders } from "../../src/store/orders.ts";
import { listRunsOfOrder } from "../../src/store/runs.ts";
import type { TestFleet, TestProcess } from "./fleet.ts";
import { newCheckout } from "./repositories.ts";
import type { Run } from "../../src/domain/orders/run.ts";

export const aSignal = () => new AbortController().signal;

/** A repository with one commit that is a product of the operator's tenant. Strings are lines for `sh`. */
export async function aProduct(
  fleet: TestFleet,
  by: Operator,
  product: Readonly<Record<string, unknown>> & { readonly files?: Readonly<Record<string, string>> } = {},
): Promise<Product> {
  const id = `p${randomUUID().slice(0, 8)}`;
  const { files, ...declared } = product;
  const repository = newCheckout(join(await realpath(fleet.home), "..", id), files);
  const made = Product.parse({ id, repository, tenant: by.tenantId, commands: { test: "true" }, ...declared });
  fleet.fleet.settings.products.push(made);
  return made;
}

export type OrderInput = Partial<WorkOrder> & Pick<WorkOrder, "product_id" | "intent">;

export async function storeOrders(fleet: TestFleet, by: Operator, ...inputs: readonly OrderInput[]): Promise<Order[]> {
  const orders = inputs.map((ask) =>
    WorkOrder.parse({
      job_id: v7(),
      budget: DEFAULT_ORDER_BUDGET[ask.intent],
      stop_conditions: DEFAULT_STOP_CONDITIONS[ask.intent],
      priority: 50,
      created_at: new Date().toISOString(),
      ...ask,
    }),
  );
  const owner = { tenantId: by.tenantId, operatorId: by.id };
  return fleet.fleet.store.asSystem((tx) =>
    insertOrders(
      tx,
      owner,
      orders.map((order) => ({ order, source: "manual" as const })),
    ),
  );
}

/** Stored and requested, as one batch. */
export async function requestOrders(
  fleet: TestFleet,
  by: Operator,
  ...inputs: readonly OrderInput[]
): Promise<Order[]> {
  const orders = await storeOrders(fleet, by, ...inputs);
  await requestBatch(
    fleet.fleet,
    by,
    orders.map(({ id }) => id),
  );
  return Promise.all(orders.map(({ id }) => readOrder(fleet, id)));
}

export async function readOrder(fleet: TestFleet, id: string): Promise<Order> {
  const order = await fleet.fleet.store.asSystem((tx) => findOrder(tx, id));
  if (!order) throw new Error(`There is no order ${id}.`);
  return order;
}

/** Latest first. */
export async function runsOfOrder(fleet: TestFleet, { id }: Pick<Order, "id">): Promise<Run[]> {
  return fleet.fleet.store.asSystem((tx) => listRunsOfOrder(tx, id));
}

/**
 * Runs the order as its job would; returns the order afterwards. A failure that the queue would retry is not an error
 * here.
 */
export async function carryOut(
  fleet: TestFleet,
  { id, epoch }: Order,
  { fleet: on }: TestProcess = fleet,
): Promise<Order> {
  await runOrder(on, { orderId: id, epoch }, aSignal()).catch((error: unknown) => {
    if (!(error instanceof Error && "code" in error && error.code === "order-tried-again")) throw error;
  });
  return readOrder(fleet, id);
}

/** The files in the folder, which gc or retention may have removed. */
export async function readEvidence(run: Run | undefined): Promise<Record<string, string>> {
  const dir = run?.dir ?? "";
  const names = await readdir(dir);
  const texts = await Promise.all(names.map(async (name) => [name, await readFile(join(dir, name), "utf8")]));
  return Object.fromEntries(texts);
}
