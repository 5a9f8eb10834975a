/** Orders: they run on a fresh copy within their budget, with evidence, one after another within a batch. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { findMarked } from "../../../src/command/process-tree.ts";
import { LastRun } from "../../../src/domain/orders/last-run.ts";
import { killProduct } from "../../../src/conductor/products/products.ts";
import { eventually } from "../../support/eventually.ts";
import { testFleet, type TestFleet } from "../../support/fleet.ts";
import { aProduct, requestOrders, carryOut, readEvidence, readOrder, runsOfOrder } from "../../support/orders.ts";

const JUNIT = `<testsuites><testsuite name="a"><testcase classname="a" name="one" time="0.5"/>
<testcase classname="a" name="two &lt;b&gt;"><failure message="no"/></testcase></testsuite></testsuites>`;

async function aTest(fleet: TestFleet, line: string, product: Readonly<Record<string, unknown>> = {}) {
  const by = await fleet.operator();
  const { id } = await aProduct(fleet, by, { commands: { test: line }, ...product });
  const [order] = await requestOrders(fleet, by, { product_id: id, intent: "test" });
  if (!order) throw new Error("No order was made.");
  return { by, order, productId: id };
}

test("an order runs setup and test on the head of the base branch, and stores evidence of the outcome", async () => {
  await using fleet = await testFleet();
  const { order, productId } = await aTest(fleet, "cat README.md; cp junit.in $FLEET_EVIDENCE/junit.xml; exit 1", {
    commands: {
      setup: "echo getting ready token=ghp_abcdefghijklmnopqrstuvwxyz0123456789",
      test: "cat README.md; cp junit.in $FLEET_EVIDENCE/junit.xml; exit 1",
    },
    files: { "README.md": "hello\n", "junit.in": JUNIT },
  });

  const done = await carryOut(fleet, order);

  const [run] = await runsOfOrder(fleet, order);
  expect(done).toMatchObject({
    status: "failed",
    reason: "test failed with exit code 1; 1 of 2 tests failed",
    attempt: 0,
  });
  expect(done.result).toMatchObject({ exit_code: 1, error_message: done.reason });
  expect(run).toMatchObject({ status: "failed", failure: "exit_1", exitCode: 1, transient: false });
  expect(run?.headSha).toMatch(/^[0-9a-f]{40}$/);
  expect(run?.summary["tests"]).toMatchObject({ total: 2, passed: 1, failed: 1, failedNames: ["a › two <b>"] });
  const evidence = await readEvidence(run);
  expect(Object.keys(evidence).toSorted()).toEqual(
    ["evidence.json", "junit.xml", "last_run.json", "machine.json", "order.json", "output.log"].toSorted(),
  );
  expect(evidence["output.log"]).toContain("getting ready");
  expect(evidence["output.log"]).toContain("hello");
  expect(evidence["output.log"]).not.toContain("ghp_");
  const lastRun = LastRun.parse(JSON.parse(evidence["last_run.json"] ?? ""));
  expect(lastRun).toMatchObject({ status: "failed", run_id: run?.id, product_id: productId });
  const latest = await readFile(join(fleet.config.FLEET_HOME, "runs", productId, "last_run.json"), "utf8");
  expect(JSON.parse(latest)).toEqual(lastRun);
  // Only its evidence remains.
  expect(existsSync(join(fleet.config.FLEET_HOME, "checks", `order-${run?.id}`))).toBe(false);
});

test("a command that hangs, with children that hide in their own sessions, ends with all of them when its time is used up", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const { id } = await aProduct(fleet, by, {
    commands: { test: "echo begun; setsid sh -c 'trap \"\" TERM; sleep 600' & sleep 600 & sleep 600" },
  });
  const budget = { max_actions: 4, max_seconds: 2 };
  const [order] = await requestOrders(fleet, by, { product_id: id, intent: "test", budget });
  if (!order) throw new Error("No order was made.");

  const startedAt = performance.now();
  const done = await carryOut(fleet, order);

  const [run, ...others] = await runsOfOrder(fleet, order);
  expect(done).toMatchObject({ status: "failed", reason: "test used up its budget: max_seconds is 2" });
  expect(performance.now() - startedAt).toBeLessThan(5_500);
  expect(run).toMatchObject({ failure: "budget_exceeded", transient: false });
  expect(others).toEqual([]);
  expect(findMarked({ name: "FLEET_RUN", value: `order-${run?.id}` })).toEqual([]);
  expect((await readEvidence(run))["output.log"]).toContain("begun");
});

test("a flood of output is stopped at the budget, and a command without an action left is not started", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const flood = await aProduct(fleet, by, { commands: { test: "yes" } });
  const long = await aProduct(fleet, by, { commands: { setup: "true", test: "true" } });
  const [a] = await requestOrders(fleet, by, {
    product_id: flood.id,
    intent: "test",
    budget: { max_actions: 4, max_output_bytes: 4_096 },
  });
  const [b] = await requestOrders(fleet, by, { product_id: long.id, intent: "test", budget: { max_actions: 1 } });
  if (!a || !b) throw new Error("No order was made.");

  expect(await carryOut(fleet, a)).toMatchObject({
    status: "failed",
    reason: expect.stringContaining("max_output_bytes"),
  });
  expect(await carryOut(fleet, b)).toMatchObject({ status: "failed", reason: expect.stringContaining("max_actions") });

  const [run] = await runsOfOrder(fleet, a);
  expect((await readEvidence(run))["output.log"]?.length).toBeLessThan(8_192);
});

test("a transient failure is retried once, and both tries have evidence", async () => {
  await using fleet = await testFleet();
  const { order } = await aTest(fleet, "exit 75");

  const first = await carryOut(fleet, order);
  const second = await carryOut(fleet, first);

  expect(first).toMatchObject({ status: "pending", attempt: 1, epoch: order.epoch });
  expect(second).toMatchObject({ status: "failed", attempt: 1 });
  const runs = await runsOfOrder(fleet, order);
  expect(runs.map(({ status, transient, attempt }) => ({ status, transient, attempt }))).toEqual([
    { status: "failed", transient: true, attempt: 1 },
    { status: "failed", transient: true, attempt: 0 },
  ]);
  for (const run of runs) expect((await readEvidence(run))["evidence.json"]).toContain(run.id);
});

test("on a real queue the second try starts automatically", async () => {
  await using fleet = await testFleet();
  const flag = join(fleet.home, "was-here");
  const { order } = await aTest(fleet, `[ -e ${flag} ] || { : > ${flag}; kill -9 $$; }`);

  await fleet.startWorker();

  await eventually(async () => ((await readOrder(fleet, order.id)).status === "completed" ? true : undefined), 20_000);
  expect((await runsOfOrder(fleet, order)).map(({ status, failure }) => [status, failure])).toEqual([
    ["success", null],
    ["failed", "killed"],
  ]);
});

test("a batch goes from the most urgent to the least, and a failed validation ends the rest with its reason", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const { id } = await aProduct(fleet, by, { commands: { validate: "exit 3", test: "true" } });
  const other = await aProduct(fleet, by);
  const orders = await requestOrders(
    fleet,
    by,
    { product_id: id, intent: "test", priority: 10 },
    { product_id: other.id, intent: "test", priority: 90 },
    { product_id: id, intent: "validate", priority: 50 },
  );
  const [last, first, second] = orders;
  if (!last || !first || !second) throw new Error("No orders were made.");
  expect(orders.map(({ dueAt }) => dueAt !== null)).toEqual([false, true, false]);

  expect(await carryOut(fleet, second)).toMatchObject({ status: "pending" });
  expect(await carryOut(fleet, first)).toMatchObject({ status: "completed" });
  expect(await carryOut(fleet, await readOrder(fleet, second.id))).toMatchObject({ status: "failed" });

  const skipped = await readOrder(fleet, last.id);
  expect(skipped).toMatchObject({ status: "skipped", result: { exit_code: null, started_at: null } });
  expect(skipped.reason).toContain(`on_validation_fail of ${id} validate`);
  expect(await runsOfOrder(fleet, last)).toEqual([]);
  const events = await fleet.query(
    "select payload->>'type' as type from outbox where topic = 'event' and payload->>'subject' = $1 order by id",
    [skipped.id],
  );
  expect(events.map(({ type }) => type)).toEqual(["fleet.order.pending", "fleet.order.skipped"]);
});

test("missing required evidence makes a successful run fail", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const { id } = await aProduct(fleet, by, { evidence: [{ path: "out/junit.xml" }] });
  const [order] = await requestOrders(fleet, by, {
    product_id: id,
    intent: "test",
    stop_conditions: ["on_missing_evidence"],
  });
  if (!order) throw new Error("No order was made.");

  const done = await carryOut(fleet, order);

  const [run] = await runsOfOrder(fleet, order);
  expect(done).toMatchObject({ status: "failed", reason: expect.stringContaining("evidence is missing: junit.xml") });
  expect(run).toMatchObject({
    failure: "missing_evidence",
    summary: { missing: ["junit.xml"], fired: ["on_missing_evidence"] },
  });
});

test("an order of a stopped product does not start, and one that is stopped while it runs ends at once", async () => {
  await using fleet = await testFleet();
  const { by, order, productId } = await aTest(fleet, "sleep 600");

  const going = carryOut(fleet, order);
  await eventually(async () => ((await runsOfOrder(fleet, order)).length > 0 ? true : undefined));
  await killProduct(fleet.fleet, by, productId, "the wheel came off");
  const done = await going;

  expect(done).toMatchObject({ status: "skipped", reason: "product-stopped: the wheel came off" });
  expect(await runsOfOrder(fleet, order)).toMatchObject([{ status: "cancelled", failure: "product_stopped" }]);
  const [next] = await requestOrders(fleet, by, { product_id: productId, intent: "test" });
  expect(next && (await carryOut(fleet, next))).toMatchObject({ status: "skipped" });
});

test("of two workers with the same job one runs it", async () => {
  await using fleet = await testFleet();
  const there = await fleet.another();
  const { order } = await aTest(fleet, "true");

  await Promise.all([carryOut(fleet, order), carryOut(fleet, order, there)]);
  await carryOut(fleet, order);

  expect(await readOrder(fleet, order.id)).toMatchObject({ status: "completed" });
  expect(await runsOfOrder(fleet, order)).toHaveLength(1);
});

test("a report lists what ran, with its evidence", async () => {
  await using fleet = await testFleet();
  const { by, order, productId } = await aTest(fleet, "true");
  await carryOut(fleet, order);
  const [ask] = await requestOrders(fleet, by, { product_id: productId, intent: "regenerate_report" });

  expect(ask && (await carryOut(fleet, ask))).toMatchObject({ status: "completed" });

  const [run] = ask ? await runsOfOrder(fleet, ask) : [];
  const report = (await readEvidence(run))["report.md"];
  expect(report).toContain("| test | 1 | 100 % |");
  expect(report).toMatch(/output\.log \| \d+ \| `[0-9a-f]{64}`/);
});
