/** drift: the requested scan runs, on both backends of the queue; a malformed request is refused. */
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { driftProcessor } from "../../processors/drift.ts";
import { driftQueue } from "../../queues/drift.ts";
import { fleetSchedules } from "../../schedules/fleet.ts";
import { expectRefusal, signal } from "./jobs.ts";
import { commitFiles } from "../support/repositories.ts";
import { testFleet } from "../support/fleet.ts";

test.each(["redis", "postgres"] as const)("a scheduler removed from %s is found, and not restored", async (queues) => {
  await using fleet = await testFleet({ queues });
  const { broker } = fleet.fleet;
  const scan = () => driftProcessor.handle(fleet.fleet, { kind: "fleet" }, signal);
  await broker.applySchedules(fleetSchedules({ tickMs: fleet.config.FLEET_TICK_MS }));
  await scan();
  expect(await fleet.query("select what from drift_reports where subject = 'schedules'")).toEqual([]);

  const [queue] = broker.bullQueues([driftQueue]);
  await queue?.removeJobScheduler("drift/science");
  await scan();

  expect(await fleet.query("select what, declared, actual, severity, status from drift_reports")).toEqual([
    {
      what: "drift/science",
      declared: 'every 600000 ms: {"kind":"science"}',
      actual: null,
      severity: "high",
      status: "open",
    },
  ]);
  expect((await broker.listSchedulers([driftQueue])).map(({ id }) => id)).toEqual(["drift/fleet"]);
});

test("an operator's request scans their tenant's product alone", async () => {
  await using fleet = await testFleet();
  const [first, second] = [await fleet.aRepository(), await fleet.aRepository()];
  for (const repository of [first, second]) commitFiles(repository, { "go.sum": "one\n" });
  const productId = first.slice(-11);

  const job = { kind: "requested", tenantId: "local", productId, lookId: randomUUID() };
  await driftProcessor.handle(fleet.fleet, job, signal);

  expect(await fleet.query("select subject from looks")).toEqual([{ subject: `product:${productId}` }]);
  await driftProcessor.handle(fleet.fleet, { kind: "science" }, signal);
  expect(await fleet.query("select subject from looks where kind = 'science'")).toHaveLength(2);
});

test("a scan without a subject is refused", async () => {
  await using fleet = await testFleet();

  await expectRefusal(fleet, driftProcessor, { kind: "around" }, "kind");
});
