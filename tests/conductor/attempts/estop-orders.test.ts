/** The kill switch and work orders: pending orders wait, and running ones are released. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { releaseEstop, engageEstop } from "../../../src/conductor/attempts/estop.ts";
import { addOrder, requestBatch } from "../../../src/conductor/orders/requests.ts";
import { runOrder } from "../../../src/conductor/orders/run.ts";
import type { EstopMode } from "../../../src/domain/task/kill-switch.ts";
import type { Operator } from "../../../src/domain/operator.ts";
import { OrderRequest } from "../../../src/domain/orders/order.ts";
import { eventually } from "../../support/eventually.ts";
import { testFleet, type TestFleet } from "../../support/fleet.ts";

let farm: TestFleet;
beforeAll(async () => void (farm = await testFleet()));
afterAll(() => farm[Symbol.asyncDispose]());

const sovereign = () => farm.operator({ tier: "sovereign" });

function throwAt(by: Operator, scope: "tenant", mode: EstopMode) {
  return engageEstop(farm.fleet, by, { scope, mode, reason: "smoke in the room" });
}

test("orders of a parked tenant wait with the reason, and run after the release", async () => {
  const by = await sovereign();
  const repository = await farm.aRepository();
  const shop = farm.fleet.settings.products.find((product) => product.repository === repository);
  Object.assign(shop ?? {}, { tenant: by.tenantId });
  const ask = OrderRequest.parse({ productId: shop?.id, intent: "test" });
  const { order } = await addOrder(farm.fleet, by, ask);
  await throwAt(by, "tenant", "park");
  await expect(addOrder(farm.fleet, by, ask)).rejects.toMatchObject({ code: "stopped" });
  await requestBatch(farm.fleet, by, [order.id]);
  await farm.processHints();
  const [held] = await farm.query("select status, reason from work_orders where id = $1", [order.id]);
  expect(held).toEqual({ status: "pending", reason: `tenant ${by.tenantId} is parked: smoke in the room` });
  expect(await farm.query("select from runs where order_id = $1", [order.id])).toEqual([]);

  await releaseEstop(farm.fleet, by, { scope: "tenant" });
  await farm.query("update work_orders set epoch = epoch + 1, due_at = now() where id = $1", [order.id]);
  await runOrder(farm.fleet, { orderId: order.id, epoch: order.epoch + 1 }, new AbortController().signal);
  const [done] = await farm.query("select status, reason from work_orders where id = $1", [order.id]);
  expect(done).toEqual({ status: "completed", reason: null });
});

test("a running order is released when its tenant is frozen, and runs again after the switch is released", async () => {
  const by = await sovereign();
  const flag = join(farm.home, "go");
  const repository = await farm.aRepository({ test: `[ -e ${flag} ] || sleep 60` });
  const shop = farm.fleet.settings.products.find((product) => product.repository === repository);
  Object.assign(shop ?? {}, { tenant: by.tenantId });
  const { order } = await addOrder(farm.fleet, by, OrderRequest.parse({ productId: shop?.id, intent: "test" }));
  await farm.query("update work_orders set requested_at = now(), due_at = now() where id = $1", [order.id]);
  const carryOut = () => runOrder(farm.fleet, { orderId: order.id, epoch: order.epoch }, new AbortController().signal);
  const read = async () =>
    (await farm.query("select status from work_orders where id = $1", [order.id]))[0]?.["status"];
  const first = carryOut();
  await eventually(async () => (await read()) === "running" || undefined);

  await throwAt(by, "tenant", "freeze");
  await expect(first).rejects.toMatchObject({ code: "order-tried-again" });
  expect(await read()).toBe("pending");
  expect(await farm.query("select status, failure from runs where order_id = $1", [order.id])).toEqual([
    { status: "cancelled", failure: "frozen" },
  ]);
  await carryOut();
  expect(await read()).toBe("pending");

  await releaseEstop(farm.fleet, by, { scope: "tenant" });
  await writeFile(flag, "");
  await carryOut();
  expect(await read()).toBe("completed");
});
