/** Orders whose workers die or whose hints are lost: they run once, with complete evidence of every try. */
import { fork, type ChildProcess } from "node:child_process";
import { appendFile, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ordersQueue } from "../../../queues/orders.ts";
import { findMarked } from "../../../src/command/process-tree.ts";
import { reconcile } from "../../../src/conductor/monitor/reconcile.ts";
import { verifyEvidence } from "../../../src/conductor/orders/find-runs.ts";
import type { Operator } from "../../../src/domain/operator.ts";
import { eventually } from "../../support/eventually.ts";
import { testFleet, type TestFleet } from "../../support/fleet.ts";
import { aProduct, requestOrders, carryOut, readOrder, runsOfOrder } from "../../support/orders.ts";

/** Starts another process on this host, over the same stores. */
async function aWorker(fleet: TestFleet): Promise<ChildProcess & AsyncDisposable> {
  const { config } = fleet;
  const env = {
    DATABASE_URL: fleet.databaseUrl,
    ...(config.REDIS_URL ? { REDIS_URL: config.REDIS_URL } : {}),
    FLEET_HOME: config.FLEET_HOME,
    FLEET_QUEUE_PREFIX: config.FLEET_QUEUE_PREFIX,
    FLEET_HOST_ID: "here",
    FLEET_TICK_MS: "300",
    PORT: "0",
  };
  const asks = { env, home: fleet.home, products: fleet.fleet.settings.products };
  const child = fork("tests/support/run-ts.mjs", ["tests/conductor/orders/worker-process.ts", JSON.stringify(asks)]);
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  await new Promise<void>((resolve, reject) => {
    child.once("message", () => resolve());
    child.once("exit", () => reject(new Error("The worker ended before it worked.")));
  });
  return Object.assign(child, {
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await exited;
    },
  });
}

async function anOrder(fleet: TestFleet, by: Operator, line: string) {
  const { id } = await aProduct(fleet, by, { commands: { test: line } });
  const [order] = await requestOrders(fleet, by, { product_id: id, intent: "test" });
  if (!order) throw new Error("No order was made.");
  return order;
}

test.each(["redis", "postgres"] as const)(
  "with queues on %s an order whose worker is killed is done once by the next one, and both runs keep their evidence",
  async (queues) => {
    await using fleet = await testFleet({ queues });
    const flag = join(fleet.home, "was-here");
    const line = `[ -e ${flag} ] && exit 0; echo begun; : > ${flag}; setsid sleep 600 & sleep 600`;
    const order = await anOrder(fleet, await fleet.operator(), line);
    const marker = { name: "FLEET_ORDER", value: order.id };

    await using dying = await aWorker(fleet);
    await eventually(async () => (findMarked(marker).length >= 3 ? true : undefined), 20_000);
    dying.kill("SIGKILL");
    await fleet.startWorker();
    await eventually(
      async () => ((await readOrder(fleet, order.id)).status === "completed" ? true : undefined),
      30_000,
    );

    expect(await readOrder(fleet, order.id)).toMatchObject({ status: "completed", crashes: 1, epoch: 2, attempt: 0 });
    const [done, dead, ...others] = await runsOfOrder(fleet, order);
    expect([done?.status, dead?.status, dead?.failure, others]).toEqual(["success", "cancelled", "worker_died", []]);
    if (!done || !dead) return;
    await eventually(async () => ((await verifyEvidence(fleet.fleet, dead)).ok ? true : undefined), 10_000);
    expect(await verifyEvidence(fleet.fleet, done)).toMatchObject({ ok: true, disk: true });
    expect(await readFile(join(dead.dir ?? "", "output.log"), "utf8")).toContain("begun");
    expect(JSON.parse(await readFile(join(dead.dir ?? "", "last_run.json"), "utf8"))).toMatchObject({
      status: "cancelled",
    });
    const latest = join(fleet.config.FLEET_HOME, "runs", order.productId, "last_run.json");
    expect(JSON.parse(await readFile(latest, "utf8"))).toMatchObject({ run_id: done.id, status: "success" });
    expect(findMarked(marker)).toEqual([]);
    expect((await readdir(join(fleet.config.FLEET_HOME, "checks"))).filter((name) => name !== ".trash")).toEqual([]);
  },
);

test("a lost job is added again, and a spent one is replaced under a new epoch", async () => {
  await using fleet = await testFleet();
  const order = await anOrder(fleet, await fleet.operator(), "true");
  const overdue = () =>
    fleet.query("update work_orders set due_at = now() - interval '1 min' where status = 'pending'");
  await fleet.query("update outbox set processed_at = now()");
  await overdue();

  expect(await reconcile(fleet.fleet)).toMatchObject({ orders: 1 });
  expect(await fleet.fleet.broker.depth(ordersQueue)).toMatchObject({ waiting: 1 });
  const consumer = await fleet.fleet.broker.consume(ordersQueue, async () => "did nothing");
  await eventually(async () => ((await fleet.fleet.broker.depth(ordersQueue)).completed === 1 ? true : undefined));
  await consumer.close();
  await overdue();
  expect(await reconcile(fleet.fleet)).toMatchObject({ orders: 1 });

  const again = await readOrder(fleet, order.id);
  expect(again).toMatchObject({ status: "pending", epoch: 2 });
  expect(await carryOut(fleet, order)).toMatchObject({ status: "pending" });
  expect(await carryOut(fleet, again)).toMatchObject({ status: "completed" });
});

test("an order that crashes a sixth worker fails, and the rest of its batch continues", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const { id } = await aProduct(fleet, by, { commands: { validate: "true", test: "true" } });
  const [first, second] = await requestOrders(
    fleet,
    by,
    { product_id: id, intent: "validate", priority: 90 },
    { product_id: id, intent: "test" },
  );
  if (!first || !second) throw new Error("No orders were made.");
  await fleet.query(
    "update work_orders set status = 'running', worker = 'dead', crashes = 5, lease_until = now() - interval '1 s', due_at = null where id = $1",
    [first.id],
  );

  expect(await reconcile(fleet.fleet)).toMatchObject({ orders: 1 });

  expect(await readOrder(fleet, first.id)).toMatchObject({
    status: "failed",
    reason: expect.stringContaining("worker_crashes"),
  });
  expect(await carryOut(fleet, second)).toMatchObject({ status: "completed" });
});

test("a worker whose order was taken over stores no result", async () => {
  await using fleet = await testFleet();
  const order = await anOrder(fleet, await fleet.operator(), "sleep 0.5");

  const going = carryOut(fleet, order);
  await eventually(async () => ((await runsOfOrder(fleet, order)).length > 0 ? true : undefined));
  await fleet.query("update work_orders set lease_until = now() - interval '1 min'");
  await reconcile(fleet.fleet);
  await going;

  expect(await readOrder(fleet, order.id)).toMatchObject({ status: "pending", epoch: 2, crashes: 1, result: null });
  expect(await runsOfOrder(fleet, order)).toMatchObject([{ status: "cancelled", failure: "worker_died" }]);
  expect(await fleet.query("select name from artifacts")).toEqual([]);
});

test("changed evidence does not verify, in the database or on the disk", async () => {
  await using fleet = await testFleet();
  const order = await anOrder(fleet, await fleet.operator(), "true");
  await carryOut(fleet, order);
  const [run] = await runsOfOrder(fleet, order);
  if (!run?.dir) throw new Error("There is no run.");
  expect(await verifyEvidence(fleet.fleet, run)).toMatchObject({ ok: true });

  await appendFile(join(run.dir, "output.log"), "x");
  await rm(join(run.dir, "machine.json"));
  await appendFile(join(run.dir, "more.txt"), "x");
  await fleet.query(
    "update artifacts set bytes = (select bytes from artifacts where name = 'order.json') where name = 'last_run.json'",
  );

  const { ok, broken } = await verifyEvidence(fleet.fleet, run);
  expect(ok).toBe(false);
  expect(broken.map(({ name, where }) => `${where} ${name}`).toSorted()).toEqual([
    "database last_run.json",
    "disk machine.json",
    "disk more.txt",
    "disk output.log",
  ]);
});
