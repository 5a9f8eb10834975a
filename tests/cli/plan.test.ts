/** fleet plan and fleet products, from the command line to what a real server stored. */
import { mkdtemp, readdir, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { WorkOrder } from "../../src/domain/orders/order.ts";
import { Plan } from "../../src/domain/plan/plan.ts";
import { addProduct, addRun, hashTables } from "../support/factory.ts";
import { testFleet } from "../support/fleet.ts";
import { openTestCli } from "../support/typed.ts";

const NOW = new Date("2026-05-01T12:34:56Z");

async function aFactory() {
  const fleet = await testFleet({ parts: { clock: () => NOW } });
  const typed = await openTestCli(fleet);
  const { by } = typed;
  return {
    fleet,
    by,
    type: (...words: string[]) => typed.fleet(...words),
    [Symbol.asyncDispose]: async () => {
      await typed[Symbol.asyncDispose]();
      await fleet[Symbol.asyncDispose]();
    },
  };
}

test("plan shows what is next, why, and the next command; --json gives the same bytes each time", async () => {
  await using world = await aFactory();
  expect((await world.type("plan")).out).toContain("0 orders; 10 were wanted, but there are no candidates.");
  for (const id of ["d", "c", "b", "a"]) addProduct(world.fleet, world.by, { id });
  await addRun(world.fleet, world.by, { product: "c", status: "failed", failure: "time_out", hoursAgo: 3 });

  const first = await world.type("plan", "--budget", "3", "--json");
  const second = await world.type("plan", "--budget", "3", "--json");
  const { out } = await world.type("plan", "--budget", "3");
  const { out: explained } = await world.type("plan", "--budget", "1", "--explain", "--dry-run");

  expect(second.out).toBe(first.out);
  expect(Plan.parse(JSON.parse(first.out)).orders).toHaveLength(3);
  expect(out).toMatch(
    /^#\s+PRODUCT\s+INTENT\s+SCORE\s+ORDER\s+WHY\n1\s+c\s+validate\s+█{7} 7230\s+[0-9a-f]{8}\s+the last validate failed 2h 25m ago/,
  );
  expect(out).toMatch(/3 orders of 9 candidates\.\nPlan [0-9a-f]{8}: 0 new\. Run them: fleet run\n$/);
  expect(explained).toContain(
    "     +7000 the last validate failed 2h 25m ago (time_out)\n     +200 criticality medium\n",
  );
  expect(explained).toMatch(/Nothing was stored\. Without --dry-run the orders are stored\.\n$/);
});

test("--dry-run changes no row, --out writes one valid file for each order", async () => {
  await using world = await aFactory();
  for (const id of ["a", "b"]) addProduct(world.fleet, world.by, { id });
  const folder = await mkdtemp(join(tmpdir(), "fleet-orders-"));
  await world.type("products");
  const before = await hashTables(world.fleet);

  const { exit } = await world.type("plan", "--budget", "2", "--dry-run", "--out", folder);

  expect(exit).toBe(0);
  expect(await hashTables(world.fleet)).toEqual(before);
  const files = (await readdir(folder)).toSorted();
  expect(files).toEqual([
    expect.stringMatching(/^1-a-validate-[0-9a-f]{8}\.json$/),
    expect.stringMatching(/^2-b-validate-[0-9a-f]{8}\.json$/),
  ]);
  for (const file of files) {
    expect(WorkOrder.safeParse(JSON.parse(await readFile(join(folder, file), "utf8"))).error).toBeUndefined();
  }
});

test("a plan is verified by its id, and a changed one exits with 4", async () => {
  await using world = await aFactory();
  addProduct(world.fleet, world.by, { id: "a" });
  const { plan_id: id } = Plan.parse(JSON.parse((await world.type("plan", "--json")).out));

  expect((await world.type("plan", "--list")).out).toContain(id);
  expect(await world.type("plan", "--replay", id.slice(0, 8))).toMatchObject({
    exit: 0,
    out: expect.stringMatching(/^✔ Plan .* follows from its inputs, byte by byte\n/),
  });
  await world.fleet.query("update plans set output_sha256 = repeat('0', 64)");
  expect(await world.type("plan", "--replay", id)).toMatchObject({
    exit: 4,
    out: expect.stringContaining("✖ the stored output matches its hash"),
  });
  expect((await world.type("plan", "--replay", "ffffffff")).exit).toBe(3);
});

test.each([["0"], ["1001"], ["2.5"], ["many"]])("a budget of %s is refused", async (budget) => {
  await using world = await aFactory();

  expect((await world.type("plan", "--budget", budget)).exit).toBe(2);
});

test("products shows the result of each; kill stops one, which every view shows, and release lets it continue", async () => {
  await using world = await aFactory();
  expect((await world.type("products")).out).toContain("No products.");
  addProduct(world.fleet, world.by, { id: "shop", criticality: "high", slaTier: 1 });
  addProduct(world.fleet, world.by, { id: "old", status: "archived" });
  const killSwitch = { enabled: true, reason: "moved away" };
  addProduct(world.fleet, world.by, { id: "gone", killSwitch });
  await addRun(world.fleet, world.by, { product: "shop", hoursAgo: 2 });

  const { out } = await world.type("products");
  expect(out).toMatch(/shop +● active +high +1 +✔ .* ago +– +–/);
  expect(out).toMatch(/old +○ archived/);
  expect(out).toMatch(
    /gone +■ stopped[^]*■ gone: moved away \(by fleet\.yaml\)[^]*3 products, 1 planned for\. Plan: fleet plan\n$/,
  );

  expect((await world.type("products", "kill", "shop")).exit).toBe(2);
  expect((await world.type("products", "kill", "shop", "--reason", "the flood")).out).toMatch(
    /^■ stopped {2}shop\n {2}the flood\n/,
  );
  expect(await world.type("plan", "--product", "shop")).toMatchObject({
    exit: 3,
    err: expect.stringContaining("shop is stopped: the flood"),
  });
  expect((await world.type("plan", "--dry-run")).out).toContain("Left out: 2 stopped, 1 with a status");
  expect((await world.type("products", "release", "shop")).out).toMatch(/^● active {2}shop\n/);
  expect(await world.type("products", "release", "gone")).toMatchObject({
    exit: 1,
    out: expect.stringContaining("It is stopped in fleet.yaml"),
  });
  expect((await world.type("products", "kill", "nothing", "--reason", "x")).exit).toBe(3);
  expect(JSON.parse((await world.type("products", "--json")).out).products[0]).toMatchObject({
    id: "shop",
    stopped: null,
    lastRuns: [{ intent: "validate", status: "success" }],
  });
});
