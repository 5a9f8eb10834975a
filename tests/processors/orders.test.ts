/** orders: run once per epoch, and the next one of the batch is requested at the end. */
import { expect, test } from "vitest";
import { ordersProcessor } from "../../processors/orders.ts";
import { testFleet } from "../support/fleet.ts";
import { aProduct, requestOrders, readOrder, runsOfOrder } from "../support/orders.ts";
import { expectRefusal, signal } from "./jobs.ts";

test("the orders of a batch run one after another by their hints alone", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const { id } = await aProduct(fleet, by, { commands: { validate: "true", test: "true" } });
  const orders = await requestOrders(
    fleet,
    by,
    { product_id: id, intent: "test", priority: 40 },
    { product_id: id, intent: "validate", priority: 60 },
  );

  expect(await fleet.processHints()).toBe(1);
  const between = await Promise.all(orders.map((order) => readOrder(fleet, order.id)));
  expect(await fleet.processHints()).toBe(1);
  const after = await Promise.all(orders.map((order) => readOrder(fleet, order.id)));

  expect(between.map(({ status }) => status)).toEqual(["pending", "completed"]);
  expect(after.map(({ status }) => status)).toEqual(["completed", "completed"]);
  expect(await fleet.processHints()).toBe(0);
});

test("a job of another epoch, or one whose turn has not come, does nothing; a malformed one is refused", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const { id } = await aProduct(fleet, by, { commands: { validate: "true", test: "true" } });
  const [first, second] = await requestOrders(
    fleet,
    by,
    { product_id: id, intent: "validate", priority: 60 },
    { product_id: id, intent: "test", priority: 40 },
  );
  if (!first || !second) throw new Error("No orders were made.");

  await ordersProcessor.handle(fleet.fleet, { orderId: first.id, epoch: first.epoch + 1 }, signal);
  await ordersProcessor.handle(fleet.fleet, { orderId: second.id, epoch: second.epoch }, signal);

  expect(await readOrder(fleet, first.id)).toEqual(first);
  expect(await readOrder(fleet, second.id)).toEqual(second);
  expect([...(await runsOfOrder(fleet, first)), ...(await runsOfOrder(fleet, second))]).toEqual([]);
  await expectRefusal(fleet, ordersProcessor, { orderId: first.id, epoch: 0 }, "epoch");
});
