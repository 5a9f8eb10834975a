/** planner: ticks of schedules become orders, also when the queue has lost them. */
import { Redis } from "ioredis";
import { expect, inject, test } from "vitest";
import { plannerProcessor } from "../../processors/planner.ts";
import { plannerQueue } from "../../queues/planner.ts";
import { eventually } from "../support/eventually.ts";
import { aScheduleFile, scheduledFleet, type ScheduledFleet } from "../support/schedules.ts";
import { expectRefusal, signal } from "./jobs.ts";

const ticks = async ({ fleet }: ScheduledFleet) =>
  (await fleet.broker.listSchedulers([plannerQueue])).filter(({ id }) => id !== "planner/due");

test.each(["redis", "postgres"] as const)(
  "on %s the files decide what ticks, while the worker runs",
  async (queues) => {
    await using fleet = await scheduledFleet({ queues });
    const [daily, often, byHand, off] = [1, 2, 3, 4].map(() => fleet.product());
    await fleet.writeSchedule(String(daily), aScheduleFile(String(daily), { cadence: "daily", at: "02:30" }));
    await fleet.writeSchedule(String(often), aScheduleFile(String(often), { every: 45 }));
    await fleet.writeSchedule(String(byHand), aScheduleFile(String(byHand), { cadence: "manual" }));
    await fleet.writeSchedule(String(off), aScheduleFile(String(off), { enabled: false }));
    await fleet.startWorker(fleet, ["planner"]);

    expect(await ticks(fleet)).toMatchObject([
      { id: `planner/local/${daily}`, pattern: "30 2 * * *", everyMs: undefined },
      { id: `planner/local/${often}`, everyMs: 45 * 60_000, pattern: undefined },
    ]);

    await fleet.writeSchedule(String(daily), undefined);
    await fleet.writeSchedule(String(often), "not JSON");
    await fleet.writeSchedule(String(off), aScheduleFile(String(off)));
    const left = await eventually(async () => {
      const found = await ticks(fleet);
      // One at a time: for a moment another one may be the last.
      return found.length === 1 && found[0]?.id === `planner/local/${off}` ? found : undefined;
    });
    expect(left).toMatchObject([
      { id: `planner/local/${off}`, payload: { kind: "schedule", tenantId: "local", scheduleId: off } },
    ]);
  },
);

test("a tick creates the slot's orders, once however often it is delivered", async () => {
  await using fleet = await scheduledFleet();
  const id = fleet.product();
  await fleet.writeSchedule(id, aScheduleFile(id));
  fleet.setTime("2026-03-29T00:00:00Z");

  const tick = { kind: "schedule", tenantId: "local", scheduleId: id };
  await plannerProcessor.handle(fleet.fleet, tick, signal);
  await plannerProcessor.handle(fleet.fleet, tick, signal);
  await plannerProcessor.handle(fleet.fleet, { kind: "due" }, signal);

  expect(await fleet.orders()).toHaveLength(1);
});

test("a tick of a removed schedule requests nothing", async () => {
  await using fleet = await scheduledFleet();

  await plannerProcessor.handle(fleet.fleet, { kind: "schedule", tenantId: "local", scheduleId: "gone" }, signal);

  expect(await fleet.orders()).toEqual([]);
});

test("when Redis has lost everything, the slot is made up and the schedules tick again", async () => {
  await using fleet = await scheduledFleet();
  const id = fleet.product();
  await fleet.writeSchedule(id, aScheduleFile(id));
  await fleet.startWorker(fleet, ["planner"]);
  await eventually(async () => (await ticks(fleet)).length === 1 || undefined);
  await eventually(async () => (await fleet.fleet.broker.depth(plannerQueue)).completed > 0 || undefined);

  await forgetAll(fleet.config.FLEET_QUEUE_PREFIX);
  fleet.setTime("2026-03-29T00:20:00Z");

  const made = await eventually(async () => {
    const orders = await fleet.orders();
    return orders.length > 0 ? orders : undefined;
  });
  expect(made).toMatchObject([{ slot_at: new Date("2026-03-29T00:00:00Z") }]);
  await eventually(async () => (await ticks(fleet)).length === 1 || undefined);
});

test("an invalid job is refused", async () => {
  await using fleet = await scheduledFleet();

  await expectRefusal(fleet, plannerProcessor, { kind: "everywhere" }, "kind");
});

/** The effect of FLUSHALL, for this fleet alone. */
async function forgetAll(prefix: string): Promise<void> {
  const client = new Redis(inject("redisUrl"));
  try {
    const keys = await client.keys(`${prefix}:*`);
    expect(keys.length).toBeGreaterThan(0);
    await client.del(...keys);
  } finally {
    client.disconnect();
  }
}

test("planning on schedule creates each order once, as the system operator, and runs it unless that is not allowed", async () => {
  await using fleet = await scheduledFleet();
  const id = fleet.product({ commands: { validate: "true" } });
  const orders = () =>
    fleet.query(
      "select product_id, source, operator_id, requested_at is not null as asked from work_orders where intent = 'validate'",
    );

  await plannerProcessor.handle(fleet.fleet, { kind: "state", budget: 5, run: false }, signal);
  expect(await orders()).toEqual([{ product_id: id, source: "plan", operator_id: "factory.local", asked: false }]);

  await plannerProcessor.handle(fleet.fleet, { kind: "state", budget: 5, run: true }, signal);
  await plannerProcessor.handle(fleet.fleet, { kind: "state", budget: 5, run: true }, signal);
  expect(await orders()).toEqual([{ product_id: id, source: "plan", operator_id: "factory.local", asked: true }]);
});

test("fleet.yaml decides whether planning runs on schedule, while the worker runs", async () => {
  await using fleet = await scheduledFleet({ settings: { planner: { everyMinutes: 30, budget: 3 } } });
  await fleet.startWorker(fleet, ["planner"]);
  const planned = async () =>
    (await fleet.fleet.broker.listSchedulers([plannerQueue])).find(({ id }) => id === "planner/state");

  expect(await planned()).toMatchObject({ everyMs: 1_800_000, payload: { kind: "state", budget: 3, run: true } });
  delete fleet.fleet.settings.planner.everyMinutes;
  await eventually(async () => ((await planned()) === undefined ? true : undefined));
});
