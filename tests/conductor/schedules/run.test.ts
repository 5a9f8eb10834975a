/** Running schedules: each slot is created once, whatever ticks, sweeps, clocks and workers do. */
import { expect, test } from "vitest";
import { dueSchedules, runNow, runSchedule, sweepSchedules } from "../../../src/conductor/schedules/run.ts";
import { upsertOperator } from "../../../src/store/operators.ts";
import { insertOrders } from "../../../src/store/orders.ts";
import { anOperator } from "../../support/builders.ts";
import { aScheduleFile, scheduledFleet, type ScheduledFleet } from "../../support/schedules.ts";

const rowOf = async (fleet: ScheduledFleet, id: string) =>
  (await fleet.query("select * from schedules where id = $1", [id]))[0];

test("an hourly schedule requests its orders at each full hour, as the system operator, in one batch", async () => {
  await using fleet = await scheduledFleet();
  const id = fleet.product();
  await fleet.writeSchedule(
    id,
    aScheduleFile(id, { jobs: [{ intent: "validate", priority: 80 }, { intent: "test" }] }),
  );

  await sweepSchedules(fleet.fleet);
  expect(await fleet.orders()).toEqual([]);
  fleet.setTime("2026-03-29T00:00:02Z");
  expect((await dueSchedules(fleet.fleet, "local", fleet.fleet.clock())).map(({ slotAt }) => slotAt)).toEqual([
    new Date("2026-03-29T00:00:00Z"),
  ]);
  expect(await sweepSchedules(fleet.fleet)).toBe(2);
  await sweepSchedules(fleet.fleet);

  const orders = await fleet.orders();
  expect(orders).toMatchObject([
    { intent: "validate", source: "schedule", operator_id: "factory.local", status: "pending", requested: true },
    { intent: "test", slot_at: new Date("2026-03-29T00:00:00Z"), batch_id: orders[0]?.["batch_id"] },
  ]);
  expect(await fleet.query("select topic from outbox where topic = 'orders'")).not.toEqual([]);
  expect(await rowOf(fleet, id)).toMatchObject({ last_outcome: "created validate, test" });
});

test("two workers that get the same tick create the slot once", async () => {
  await using fleet = await scheduledFleet();
  const id = fleet.product();
  await fleet.writeSchedule(id, aScheduleFile(id));
  const other = await fleet.another({ parts: { clock: fleet.fleet.clock } });
  fleet.setTime("2026-03-29T01:00:00Z");

  const key = { tenantId: "local", id };
  const runs = await Promise.all(
    [fleet, other, fleet, other].flatMap((process) => [
      runSchedule(process.fleet, key),
      runSchedule(process.fleet, key),
    ]),
  );

  expect(runs.filter(({ orders }) => orders.length > 0)).toHaveLength(1);
  expect(await fleet.orders()).toHaveLength(1);
});

test("slots that were missed for days are made up by one run", async () => {
  await using fleet = await scheduledFleet();
  const id = fleet.product();
  await fleet.writeSchedule(id, aScheduleFile(id));
  fleet.setTime("2026-04-02T07:31:00Z");

  for (let round = 0; round < 3; round += 1) {
    await sweepSchedules(fleet.fleet);
    await fleet.finishOrders();
  }

  expect((await fleet.orders()).map((order) => order["slot_at"])).toEqual([new Date("2026-04-02T07:00:00Z")]);
});

test("a clock that jumps an hour ahead and back creates no slot twice", async () => {
  await using fleet = await scheduledFleet();
  const id = fleet.product();
  await fleet.writeSchedule(id, aScheduleFile(id));

  for (const time of ["00:00:01", "01:00:01", "00:00:05", "00:59:59", "01:00:00", "02:00:00"]) {
    fleet.setTime(`2026-03-29T${time}Z`);
    await sweepSchedules(fleet.fleet);
    await fleet.finishOrders();
  }

  const slots = (await fleet.orders()).map((order) => order["slot_at"]);
  expect(slots).toEqual([0, 1, 2].map((hour) => new Date(Date.UTC(2026, 2, 29, hour))));
});

test("while an order is open, a slot is skipped with the reason, and the next one runs", async () => {
  await using fleet = await scheduledFleet();
  const id = fleet.product();
  await fleet.writeSchedule(id, aScheduleFile(id));
  fleet.setTime("2026-03-29T00:00:00Z");
  await sweepSchedules(fleet.fleet);

  fleet.setTime("2026-03-29T01:00:00Z");
  await sweepSchedules(fleet.fleet);

  expect(await fleet.orders()).toHaveLength(1);
  expect(await rowOf(fleet, id)).toMatchObject({
    last_outcome: "skipped: 1 of its orders is still open",
    last_slot_at: fleet.fleet.clock(),
  });
  await fleet.finishOrders();
  await sweepSchedules(fleet.fleet);
  expect(await fleet.orders()).toHaveLength(1);
  fleet.setTime("2026-03-29T02:00:00Z");
  await sweepSchedules(fleet.fleet);
  expect(await fleet.orders()).toHaveLength(2);
});

test.each([
  [{ enabled: false }, "skipped: the product is disabled"],
  [{ status: "archived" }, "skipped: the product is archived"],
  [{ killSwitch: { enabled: true, reason: "it leaks" } }, "skipped: the product is stopped: it leaks"],
])("for a product that is %j nothing is created, and the reason is stored", async (product, outcome) => {
  await using fleet = await scheduledFleet();
  const id = fleet.product(product);
  await fleet.writeSchedule(id, aScheduleFile(id));
  fleet.setTime("2026-03-29T00:00:00Z");

  await sweepSchedules(fleet.fleet);

  expect(await fleet.orders()).toEqual([]);
  expect(await rowOf(fleet, id)).toMatchObject({ last_outcome: outcome, last_run_at: null });
});

test("an order that was planned but not requested is adopted by the slot, and a running one is left alone", async () => {
  await using fleet = await scheduledFleet();
  const id = fleet.product();
  await fleet.writeSchedule(id, aScheduleFile(id, { jobs: [{ intent: "validate" }, { intent: "test" }] }));
  const planned = { id: "ada", tenantId: "local", tier: "builder" } as const;
  const plan = (intent: "validate" | "test") => ({
    source: "plan" as const,
    order: {
      job_id: fleet.fleet.newId(),
      product_id: id,
      intent,
      inputs: {},
      budget: { max_actions: 1 },
      stop_conditions: [],
      priority: 50,
      evidence_expectations: [],
      created_at: fleet.fleet.clock().toISOString(),
      status: "pending" as const,
      result: null,
      plan_id: null,
      policy_refs: [],
    },
  });
  await fleet.fleet.store.asSystem(async (tx) => {
    await upsertOperator(tx, planned);
    await insertOrders(tx, { tenantId: "local", operatorId: planned.id }, [plan("validate"), plan("test")]);
  });
  await fleet.query("update work_orders set requested_at = now() where intent = 'test'");
  fleet.setTime("2026-03-29T00:00:00Z");

  await sweepSchedules(fleet.fleet);

  expect(await fleet.orders()).toMatchObject([{ intent: "validate", operator_id: "ada", requested: true }]);
  expect(await rowOf(fleet, id)).toMatchObject({ last_outcome: "created validate; test is already in progress" });
});

test("a manual run does not count as a slot: the next slot runs all the same", async () => {
  await using fleet = await scheduledFleet();
  const id = fleet.product();
  await fleet.writeSchedule(id, aScheduleFile(id, { cadence: "daily", at: "02:30" }));
  const by = anOperator({ tenantId: "local" });
  await fleet.operator(by);
  fleet.setTime("2026-03-29T02:20:00Z");
  const key = { tenantId: "local", id };

  const { orders } = await runNow(fleet.fleet, by, key);

  expect(orders).toMatchObject([{ source: "manual", operatorId: by.id }]);
  await expect(runNow(fleet.fleet, by, key)).rejects.toMatchObject({ code: "invalid-transition" });
  await fleet.finishOrders();
  fleet.setTime("2026-03-29T02:31:00Z");
  await sweepSchedules(fleet.fleet);
  expect((await fleet.orders()).map((order) => order["source"])).toEqual(["manual", "schedule"]);
});
