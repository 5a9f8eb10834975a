/** Planning over a real store: stored once, made again to the byte, nothing changed by a dry run, and nothing for who is stopped. */
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import {
  getPlan,
  listPlansFor,
  makePlan,
  replayPlan,
  type MakePlanOptions,
} from "../../../src/conductor/planner/plan.ts";
import { killProduct, releaseProduct } from "../../../src/conductor/products/products.ts";
import type { Operator } from "../../../src/domain/operator.ts";
import { requestOrders } from "../../../src/store/orders.ts";
import { addProduct, addRun, hashTables } from "../../support/factory.ts";
import { testFleet, type TestFleet } from "../../support/fleet.ts";

const NOW = new Date("2026-05-01T12:34:56Z");
const ask = (but: Partial<MakePlanOptions> = {}): MakePlanOptions => ({ wanted: 10, source: "state", ...but });

async function aFactory(...ids: string[]): Promise<{ fleet: TestFleet; by: Operator }> {
  const fleet = await testFleet({ parts: { clock: () => NOW } });
  const by = await fleet.operator();
  for (const id of ids) addProduct(fleet, by, { id });
  return { fleet, by };
}

test("four products make exactly three orders when three are wanted, twice the same bytes, and they are stored once", async () => {
  const { fleet, by } = await aFactory("d", "b", "a", "c");
  await using _ = fleet;

  const first = await makePlan(fleet.fleet, by, ask({ wanted: 3 }));
  const second = await makePlan(fleet.fleet, by, ask({ wanted: 3 }));

  expect(JSON.stringify(second.plan)).toBe(JSON.stringify(first.plan));
  expect([first.stored, second.stored]).toEqual([3, 0]);
  expect(first.plan.orders.map(({ order }) => order.product_id)).toEqual(["a", "b", "c"]);
  expect(second.standings.map(({ state }) => state)).toEqual(["planned", "planned", "planned"]);
  expect(
    await fleet.query("select product_id, status, source, plan_id, operator_id from work_orders order by 1"),
  ).toEqual(
    ["a", "b", "c"].map((product_id) => ({
      product_id,
      status: "pending",
      source: "plan",
      plan_id: first.plan.plan_id,
      operator_id: by.id,
    })),
  );
  expect(await fleet.query("select wanted, candidates from plans")).toEqual([{ wanted: 3, candidates: 8 }]);
});

test("two who plan the same at once store it once", async () => {
  const { fleet, by } = await aFactory("a", "b");
  await using _ = fleet;
  const other = await fleet.another({ parts: { clock: () => NOW } });

  const made = await Promise.all([fleet.fleet, other.fleet, fleet.fleet].map((one) => makePlan(one, by, ask())));

  expect(made.reduce((sum, { stored }) => sum + stored, 0)).toBe(4);
  expect(new Set(made.map(({ plan }) => plan.output_sha256)).size).toBe(1);
  expect(await fleet.query("select count(*)::int as n from work_orders")).toEqual([{ n: 4 }]);
});

test("a dry run changes no row", async () => {
  const { fleet, by } = await aFactory("a", "b");
  await using _ = fleet;
  await addRun(fleet, by, { product: "a", status: "failed" });
  const before = await hashTables(fleet);

  const dry = await makePlan(fleet.fleet, by, ask({ dryRun: true }));

  expect(before).toMatchObject({ runs: { rows: 1 }, plans: { rows: 0 }, outbox: { rows: 0 } });
  expect(await hashTables(fleet)).toEqual(before);
  const real = await makePlan(fleet.fleet, by, ask());
  expect(JSON.stringify(dry.plan)).toBe(JSON.stringify(real.plan));
});

test("an order that is open takes the place of a new one, and it is said which", async () => {
  const { fleet, by } = await aFactory("a");
  await using _ = fleet;
  const first = await makePlan(fleet.fleet, by, ask());
  const ids = first.plan.orders.map(({ order }) => order.job_id);
  await fleet.fleet.store.asSystem((tx) => requestOrders(tx, ids, fleet.fleet.newId()));

  const later = await makePlan(fleet.fleet, by, ask({ asOf: new Date("2026-05-01T13:00:00Z") }));

  expect(later.plan.plan_id).not.toBe(first.plan.plan_id);
  expect(later.stored).toBe(0);
  expect(later.standings.map(({ state, orderId }) => [state, orderId])).toEqual(ids.map((id) => ["open", id]));
});

test("what was found red, open or waiting is planned from the rows that say so", async () => {
  const { fleet, by } = await aFactory("red", "well");
  await using _ = fleet;
  addProduct(fleet, by, { id: "tested", commands: { test: "true" }, criticality: "high" });
  await addRun(fleet, by, { product: "red", status: "failed", failure: "time_out", hoursAgo: 3 });
  await addRun(fleet, by, { product: "well" });
  await fleet.query(
    `insert into dossiers (tenant_id, operator_id, product_id, path, dossier_id, status, commit_sha, status_since)
     values ($1, $2, 'well', 'docs/science/cache.md', 'cache', 'validated', 'c', '2026-05-01T01:00:00Z')`,
    [by.tenantId, by.id],
  );
  await fleet.query(
    `insert into drift_reports (id, tenant_id, operator_id, subject, what, product_id, severity, since)
     values (gen_random_uuid(), $1, $2, 'well', 'lockfile', 'well', 'high', '2026-04-01T00:00:00Z')`,
    [by.tenantId, by.id],
  );

  const { plan } = await makePlan(fleet.fleet, by, ask({ wanted: 100 }));
  const said = plan.orders.map(({ order, reasons }) => [order.product_id, order.intent, reasons[0]]);

  expect(said.slice(0, 2)).toEqual([
    ["red", "validate", "+7000 the last validate failed 2h 25m ago (time_out)"],
    ["tested", "test", "+5000 there is no run of test yet"],
  ]);
  expect(said).toContainEqual([
    "well",
    "science_to_design",
    "+4000 dossier cache was validated 11h ago and has no design yet",
  ]);
  expect(said.find(([id, intent]) => id === "well" && intent === "drift_check")?.[2]).toContain("1 open finding since");
  const science = plan.orders.find(({ order }) => order.intent === "science_to_design");
  expect(science?.order.inputs).toEqual({ dossier_id: "cache", path: "docs/science/cache.md" });
});

test("a stopped product is planned for again only when it is released", async () => {
  const { fleet, by } = await aFactory("a", "b");
  await using _ = fleet;
  const products = async () =>
    new Set((await makePlan(fleet.fleet, by, ask({ dryRun: true }))).plan.orders.map(({ order }) => order.product_id));

  await killProduct(fleet.fleet, by, "a", "the flood");

  expect(await products()).toEqual(new Set(["b"]));
  await expect(makePlan(fleet.fleet, by, ask({ productId: "a" }))).rejects.toMatchObject({
    code: "product-stopped",
    message: expect.stringContaining("the flood"),
  });
  await releaseProduct(fleet.fleet, by, "a");
  expect(await products()).toEqual(new Set(["a", "b"]));
});

test("one product may be planned alone, and another tenant's is not there", async () => {
  const { fleet, by } = await aFactory("a", "b");
  await using _ = fleet;
  const eve = await fleet.operator();

  const { plan } = await makePlan(fleet.fleet, by, ask({ productId: "b" }));

  expect(new Set(plan.orders.map(({ order }) => order.product_id))).toEqual(new Set(["b"]));
  await expect(makePlan(fleet.fleet, eve, ask({ productId: "b" }))).rejects.toMatchObject({ code: "not-found" });
  expect((await makePlan(fleet.fleet, eve, ask())).plan.candidates).toBe(0);
  await expect(getPlan(fleet.fleet, eve, plan.plan_id)).rejects.toMatchObject({ code: "not-found" });
});

test("a plan that was kept is made again to the byte; whatever was changed of it is found", async () => {
  const { fleet, by } = await aFactory("a", "b");
  await using _ = fleet;
  await addRun(fleet, by, { product: "a", status: "failed" });
  const { plan } = await makePlan(fleet.fleet, by, ask());
  const id = plan.plan_id;
  const replayed = async () => (await replayPlan(fleet.fleet, by, id.slice(0, 8))).checks.filter(({ holds }) => !holds);
  const change = (column: string, value: unknown) =>
    fleet.query(`update plans set ${column} = $2 where id = $1`, [id, value]);
  const [kept] = await fleet.query("select inputs, output, input_sha256 from plans");

  expect(await replayed()).toEqual([]);
  expect((await getPlan(fleet.fleet, by, id)).plan).toEqual(plan);

  const output = JSON.stringify({ ...plan, wanted: 9 });
  await change("output", gzipSync(output));
  expect((await replayed()).map(({ what }) => what)).toEqual(["the output is the one that was stored", "byte by byte"]);
  await expect(getPlan(fleet.fleet, by, id)).rejects.toMatchObject({ code: "not-verified" });

  await change("output", Buffer.from("no gzip"));
  expect((await replayed())[0]?.why).toContain("it cannot be read");

  await change("output", kept?.["output"]);
  await change("inputs", gzipSync("{}"));
  expect((await replayPlan(fleet.fleet, by, id)).holds).toBe(false);
  await change("inputs", kept?.["inputs"]);
  await change("input_sha256", "0".repeat(64));
  expect((await replayPlan(fleet.fleet, by, id)).holds).toBe(false);
});

test("plans are listed newest first, page by page", async () => {
  const { fleet, by } = await aFactory("a");
  await using _ = fleet;
  for (const wanted of [1, 2, 3]) await makePlan(fleet.fleet, by, ask({ wanted }));

  const first = await listPlansFor(fleet.fleet, by, { limit: 2 });
  const rest = await listPlansFor(fleet.fleet, by, { limit: 2, before: first.next });

  expect([...first.plans, ...rest.plans].map(({ wanted }) => wanted)).toEqual([3, 2, 1]);
  expect(rest.next).toBeUndefined();
});
