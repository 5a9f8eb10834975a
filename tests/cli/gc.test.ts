/** fleet gc and fleet snapshots, as an operator runs them. */
import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { hostQueue } from "../../queues/host.ts";
import { runOpenGcRequests } from "../../src/conductor/gc/requests.ts";
import { HostGcReport } from "../../src/domain/gc/report.ts";
import { collectRuns } from "../../src/conductor/orders/intents/gc-runs.ts";
import { Product } from "../../src/domain/product.ts";
import { aRun } from "../support/collected.ts";
import { eventually } from "../support/eventually.ts";
import { testFleet } from "../support/fleet.ts";
import { anIntentRequest } from "../support/intents.ts";
import { openTestCli } from "../support/typed.ts";

const shop = Product.parse({ id: "shop", repository: "/nowhere/shop" });

test("a dry run lists exactly what the real run then does, through the host's own queue", async () => {
  await using fleet = await testFleet({ settings: { gc: { keepRuns: 2 } } });
  fleet.fleet.settings.products.push(shop);
  await using typed = await openTestCli(fleet);
  const ids = [];
  for (const hours of [1, 2, 3, 4]) ids.push(await aRun(fleet, { hours }));
  await aRun(fleet, { hours: 9, productId: "other" });
  await fleet.startWorker(fleet, []);

  const dry = await typed.fleet("gc", "--dry-run", "--product", "shop");
  expect(dry).toMatchObject({ exit: 0, err: "" });
  expect(dry.out).toMatch(/2 things, \d+ kB would be collected; nothing was changed\. Collect: fleet gc\n$/);
  const done = await typed.fleet("gc", "--product", "shop");
  expect(done.exit).toBe(0);
  for (const id of ids.slice(2)) {
    expect(dry.out).toMatch(
      new RegExp(`run +${id} +shop +\\d+ kB +would be collected +older than the newest 2 of shop`),
    );
    expect(done.out).toMatch(new RegExp(`run +${id} +shop +\\d+ kB +quarantined`));
    expect(done.out).toMatch(new RegExp(`↩ mv \\S+ \\S*/runs/shop/${id}\n`));
  }
  expect(done.out).toContain("stays: 2 runs, one of the newest 2");
  expect(done.out).toMatch(/moved to quarantine; deleted after 1d 0h\.\n$|moved to quarantine; deleted after 1d\.\n$/);

  expect((await typed.fleet("gc", "--product", "nothing")).exit).toBe(3);
  const { out: json } = await typed.fleet("gc", "--product", "shop", "--json");
  expect(JSON.parse(json)).toMatchObject({ dryRun: false, hosts: [{ host: "here", gone: [] }], waiting: [] });
});

test("a host finds a request in its rows when the hint is lost", async () => {
  await using fleet = await testFleet({ settings: { gc: { keepRuns: 1 } } });
  await aRun(fleet, { hours: 1 });
  const old = await aRun(fleet, { hours: 2 });
  await fleet.query(
    `insert into gc_reports (id, host, asked_by, ask, asked_at) values (gen_random_uuid(), 'here', 'ada',
     '{"dryRun": false, "tenantId": null, "productId": null, "machine": true}', now() - interval '1 minute')`,
  );

  expect(await runOpenGcRequests(fleet.fleet)).toBe(1);
  expect(await runOpenGcRequests(fleet.fleet)).toBe(0);

  expect(await fleet.query("select subject from gc_marks")).toEqual([{ subject: old }]);
  const [row] = await fleet.query("select report from gc_reports where done_at is not null");
  expect(HostGcReport.parse(row?.["report"]).gone).toMatchObject([{ subject: old, outcome: "put-aside" }]);
});

test("every live host gets a gc request on schedule", async () => {
  await using fleet = await testFleet({ settings: { gc: { keepRuns: 1 } } });
  await aRun(fleet, { hours: 1 });
  await aRun(fleet, { hours: 2 });
  await fleet.startWorker(fleet, ["gc"]);

  await eventually(async () => (await fleet.query("select id from gc_marks")).length === 1 || undefined);
  const { completed } = await eventually(async () => {
    const depth = await fleet.fleet.broker.depth(hostQueue("here"));
    return depth.completed > 0 ? depth : undefined;
  });
  expect(completed).toBeGreaterThan(0);
});

test("gc_runs collects its own product and stores what it did as evidence", async () => {
  await using fleet = await testFleet({ settings: { gc: { keepRuns: 2 } } });
  for (const hours of [1, 2, 3]) await aRun(fleet, { hours });
  for (const hours of [1, 2, 3]) await aRun(fleet, { hours, productId: "other" });
  const ask = await anIntentRequest(fleet, shop, "gc_runs");

  const outcome = await collectRuns(ask);

  expect(outcome).toMatchObject({ ok: true, exitCode: 0, message: "2 runs quarantined, 0 deleted" });
  const stored = HostGcReport.parse(JSON.parse(await readFile(join(ask.evidence.path, "gc.json"), "utf8")));
  expect(stored.gone.map(({ product }) => product)).toEqual(["shop", "shop"]);
  expect(readdirSync(join(fleet.home, "runs", "other"))).toHaveLength(3);
});
