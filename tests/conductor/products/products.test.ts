/** Products of a tenant: their state, stopping and releasing them, and what a stopped one refuses. */
import { symlinkSync } from "node:fs";
import { expect, test } from "vitest";
import { getProduct } from "../../../src/conductor/products/find.ts";
import { assertNotStopped } from "../../../src/conductor/products/kill-switches.ts";
import {
  findProductState,
  killProduct,
  listProducts,
  releaseProduct,
} from "../../../src/conductor/products/products.ts";
import type { Operator } from "../../../src/domain/operator.ts";
import { Product } from "../../../src/domain/product.ts";
import { testFleet, type TestFleet } from "../../support/fleet.ts";
import { ensureSystemOperator } from "../../../src/conductor/scope.ts";

async function withProducts(fleet: TestFleet, by: Operator, ...ids: string[]): Promise<void> {
  const { products } = fleet.fleet.settings;
  for (const id of ids) {
    products.push(Product.parse({ id, repository: `/srv/${by.tenantId}/${id}`, tenant: by.tenantId }));
  }
}

test("a tenant's products are listed in the order of fleet.yaml, and those of another tenant are not found", async () => {
  await using fleet = await testFleet();
  const [ada, eve] = [await fleet.operator(), await fleet.operator()];
  await withProducts(fleet, ada, "shop", "admin");
  await withProducts(fleet, eve, "bank");

  const listed = await listProducts(fleet.fleet, ada);

  expect(listed.map(({ product, stop }) => [product.id, stop])).toEqual([
    ["shop", undefined],
    ["admin", undefined],
  ]);
  expect(() => getProduct(fleet.fleet, ada.tenantId, "bank")).toThrow("There is no product bank");
});

test("a product that is killed stays stopped in every process until it is released, and both are in the audit log", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  await withProducts(fleet, by, "shop");
  const shop = getProduct(fleet.fleet, by.tenantId, "shop");

  await killProduct(fleet.fleet, by, "shop", "the tests write to production");
  const { fleet: other } = await fleet.another();

  expect((await findProductState(other, by, "shop")).stop?.reason).toBe("the tests write to production");
  await expect(assertNotStopped(other, shop)).rejects.toMatchObject({ code: "product-stopped" });
  const released = await releaseProduct(other, by, "shop");
  expect(released.stop).toBeUndefined();
  expect((await findProductState(fleet.fleet, by, "shop")).stop).toBeUndefined();
  await releaseProduct(fleet.fleet, by, "shop");
  expect(await fleet.query("select action, actor, detail from audit_log order by seq")).toEqual([
    {
      action: "product.killed",
      actor: by.id,
      detail: { productId: "shop", reason: "the tests write to production" },
    },
    { action: "product.released", actor: by.id, detail: { productId: "shop" } },
  ]);
});

test("a product that fleet.yaml stops cannot be released by an operator", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const killSwitch = { enabled: true, reason: "the flood" };
  fleet.fleet.settings.products.push(
    Product.parse({ id: "shop", repository: "/srv/shop", tenant: by.tenantId, killSwitch }),
  );

  const { stop } = await releaseProduct(fleet.fleet, by, "shop");

  expect(stop).toMatchObject({ by: "fleet.yaml", reason: "the flood" });
});

test("an operator of another tenant cannot stop a product", async () => {
  await using fleet = await testFleet();
  const [ada, eve] = [await fleet.operator(), await fleet.operator()];
  await withProducts(fleet, ada, "shop");

  await expect(killProduct(fleet.fleet, eve, "shop", "because")).rejects.toMatchObject({ code: "not-found" });
  expect(await fleet.query("select * from kill_switches")).toEqual([]);
});

test("no agent is started on the repository of a stopped product, under any of its names; other tenants are not affected", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator({ tenantId: "local" });
  const repository = await fleet.aRepository();
  const [product] = fleet.fleet.settings.products;
  const link = `${repository}-link`;
  symlinkSync(repository, link);

  await killProduct(fleet.fleet, by, product?.id ?? "", "not now");

  for (const name of [repository, link, product?.id ?? ""]) {
    await expect(fleet.spawn(by, { repository: name })).rejects.toMatchObject({ code: "product-stopped" });
  }
  expect(await fleet.spawn(await fleet.operator(), { repository })).toMatchObject({ status: "proposed" });
  await releaseProduct(fleet.fleet, by, product?.id ?? "");
  expect(await fleet.spawn(by, { repository })).toMatchObject({ status: "proposed" });
});

test("there is one system operator for each tenant, however often it is ensured", async () => {
  await using fleet = await testFleet();

  const [first, second] = [
    await ensureSystemOperator(fleet.fleet, "local"),
    await ensureSystemOperator(fleet.fleet, "local"),
  ];

  expect(first).toEqual(second);
  expect(await fleet.query("select id, tenant_id from operators")).toEqual([
    { id: "factory.local", tenant_id: "local" },
  ]);
});
