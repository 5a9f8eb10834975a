/** fleet run, orders and runs, from the command line to the results of a real worker. */
import { appendFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { z } from "zod";
import { ordersQueue } from "../../queues/orders.ts";
import { killProduct } from "../../src/conductor/products/products.ts";
import { OrderView } from "../../src/views/orders/order.ts";
import { RunStory } from "../../src/views/orders/run.ts";
import { hashTables } from "../support/factory.ts";
import { testFleet, type TestFleetOptions } from "../support/fleet.ts";
import { aProduct, readOrder, runsOfOrder, storeOrders } from "../support/orders.ts";
import { openTestCli } from "../support/typed.ts";

async function aDesk(options: TestFleetOptions = {}) {
  const fleet = await testFleet(options);
  const typed = await openTestCli(fleet);
  return {
    fleet,
    by: typed.by,
    type: (...words: string[]) => typed.fleet(...words),
    async [Symbol.asyncDispose]() {
      await typed[Symbol.asyncDispose]();
      await fleet[Symbol.asyncDispose]();
    },
  };
}

/** Every file below a folder. */
async function filesIn(folder: string): Promise<string[]> {
  return (await readdir(folder, { recursive: true })).toSorted();
}

test.each(["redis", "postgres"] as const)(
  "with queues on %s a dry run lists everything that would be done, and changes no row, no file and no job",
  async (queues) => {
    await using desk = await aDesk({ queues });
    const { fleet, by } = desk;
    const { id, repository } = await aProduct(fleet, by, { commands: { setup: ["npm", "ci"], test: "npm test" } });
    const stopped = await aProduct(fleet, by);
    await killProduct(fleet.fleet, by, stopped.id, "on purpose");
    const [order] = await storeOrders(
      fleet,
      by,
      { product_id: id, intent: "test", priority: 70 },
      { product_id: stopped.id, intent: "test" },
    );
    await desk.type("orders");
    const snapshot = async () => ({
      rows: await hashTables(fleet),
      files: [await filesIn(fleet.home), await filesIn(repository)],
      jobs: await fleet.fleet.broker.depth(ordersQueue),
    });

    const before = await snapshot();
    const { exit, out } = await desk.type("run", "--dry-run", "--budget", "5");
    const one = await desk.type("run", "--dry-run", "--order", String(order?.id), "--json");
    const after = await snapshot();

    expect(exit).toBe(0);
    expect(out).toContain(`${repository} at the head of main`);
    expect(out).toMatch(/setup\s+npm ci\n\s+test\s+npm test\n\s+budget\s+4 commands · 30m · 16384 KiB of output\n/);
    expect(out).toContain("on_test_fail, on_budget_exceeded");
    expect(out).toContain(`${stopped.id} is skipped: on purpose`);
    expect(JSON.parse(one.out)).toMatchObject({ dryRun: true, batchId: null });
    expect(after).toEqual(before);
  },
);

test("run executes pending orders, prints each outcome, and exits with 1 when one failed; the run can be shown and verified", async () => {
  await using desk = await aDesk();
  const { fleet, by } = desk;
  const { id } = await aProduct(fleet, by, {
    commands: { validate: "echo looks good", test: "echo 'red \u001B[31m one'; exit 4" },
  });
  await fleet.startWorker();
  const added = await desk.type("orders", "add", id, "validate");
  await desk.type("orders", "add", id, "test", "--max-seconds", "30", "--priority", "10");
  const again = await desk.type("orders", "add", id, "validate");
  const pending = await desk.type("orders", "--status", "pending");

  const { exit, out, err } = await desk.type("run");

  expect(added.out).toContain("fleet run --order ");
  expect(again.out).toContain("already existed");
  expect(pending.out).toMatch(/○ pending/);
  expect([exit, err]).toEqual([1, ""]);
  expect(out).toMatch(
    /✔ completed .*validate[^]*✖ failed .*test failed with exit code 4[^]*2 orders: 1 completed, 1 failed\./,
  );
  const listed = z
    .object({ items: z.array(z.looseObject({ shortId: z.string(), intent: z.string() })) })
    .parse(JSON.parse((await desk.type("runs", "--product", id, "--json")).out));
  const [red, good] = listed.items;
  expect([red?.intent, good?.intent]).toEqual(["test", "validate"]);
  const log = await desk.type("run", "show", String(red?.shortId), "--log");
  expect(log.out).toContain("red");
  expect(log.out).not.toContain("\u001B[31m");
  expect(await desk.type("run", "show", String(good?.shortId), "--verify")).toMatchObject({
    exit: 0,
    out: expect.stringContaining("verified in the database and on disk"),
  });

  const story = RunStory.parse(JSON.parse((await desk.type("run", "show", String(good?.shortId), "--json")).out));
  await appendFile(join(String(story.run.dir), "output.log"), "x");
  const broken = await desk.type("run", "show", String(good?.shortId), "--verify");
  expect(broken).toMatchObject({ exit: 4, out: expect.stringContaining("output.log (disk): it was changed") });
  expect((await desk.type("run", "pin", String(good?.shortId), "--release", "1.0")).out).toContain("release 1.0");
  expect((await desk.type("run", "unpin", String(good?.shortId))).out).toContain("may be collected");
  expect((await desk.type("run", "show", "ffffffff")).exit).toBe(3);
});

test("of several pending orders the budget selects the most urgent, and --no-wait does not wait for them", async () => {
  await using desk = await aDesk();
  const { fleet, by } = desk;
  const products = [await aProduct(fleet, by), await aProduct(fleet, by), await aProduct(fleet, by)];
  const orders = await storeOrders(
    fleet,
    by,
    ...products.map(({ id }, at) => ({ product_id: id, intent: "test" as const, priority: at * 10 })),
  );

  const { out } = await desk.type("run", "--budget", "2", "--no-wait", "--json");

  const batch = z.object({ batchId: z.uuid(), orders: z.array(OrderView) }).parse(JSON.parse(out));
  expect(batch.orders.map(({ id }) => id)).toEqual([orders[2]?.id, orders[1]?.id]);
  expect(await readOrder(fleet, String(orders[0]?.id))).toMatchObject({ requestedAt: null });
  const page = await desk.type("orders", "-n", "2", "--json");
  const { nextCursor } = z.object({ nextCursor: z.string() }).parse(JSON.parse(page.out));
  expect((await desk.type("orders", "--cursor", nextCursor, "--json")).out).toContain('"nextCursor":null');
  expect(await fleet.query("select action from audit_log where action = 'orders.requested'")).toHaveLength(1);
});

test("an invalid request is refused with its reason", async () => {
  await using desk = await aDesk();
  const { fleet, by } = desk;
  const { id } = await aProduct(fleet, by);
  const [order] = await storeOrders(fleet, by, { product_id: id, intent: "test" });
  await killProduct(fleet.fleet, by, id, "the wheel came off");

  expect(await desk.type("orders", "add", "nowhere", "test")).toMatchObject({ exit: 3 });
  expect(await desk.type("orders", "add", id, "dance")).toMatchObject({ exit: 2 });
  expect(await desk.type("orders", "add", id, "test")).toMatchObject({ exit: 3 });
  expect(await desk.type("run", "--order", String(order?.id))).toMatchObject({
    exit: 3,
    err: expect.stringContaining("the wheel came off"),
  });
  expect(await desk.type("run", "--budget", "0")).toMatchObject({ exit: 2 });
  expect(await desk.type("run", "nonsense")).toMatchObject({ exit: 2 });
  expect(order && (await runsOfOrder(fleet, order))).toEqual([]);
});
