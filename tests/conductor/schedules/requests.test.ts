/** Requests about schedules from operators and hooks, and invalid files, which must not affect others. */
import { expect, test } from "vitest";
import { plannerQueue } from "../../../queues/planner.ts";
import {
  listSchedulesFor,
  handlePush,
  pauseScheduleFor,
  resumeScheduleFor,
  describeDifference,
} from "../../../src/conductor/schedules/requests.ts";
import { syncSchedules } from "../../../src/conductor/schedules/files.ts";
import { sweepSchedules } from "../../../src/conductor/schedules/run.ts";
import type { Operator } from "../../../src/domain/operator.ts";
import { aScheduleFile, scheduledFleet, type ScheduledFleet } from "../../support/schedules.ts";

async function world() {
  const fleet = await scheduledFleet();
  const by = await fleet.operator({ tenantId: "local" });
  return { fleet, by, id: fleet.product() };
}

const see = async ({ fleet }: ScheduledFleet, by: Operator) => listSchedulesFor(fleet, by);

test("an invalid file is reported with its field, does not affect others, and runs nothing until it is fixed", async () => {
  const { fleet, by, id } = await world();
  await using _ = fleet;
  const other = fleet.product();
  await fleet.writeSchedule(other, aScheduleFile(other));
  await fleet.writeSchedule(id, aScheduleFile(id));
  await fleet.writeSchedule(id, aScheduleFile(id, { jobs: [{ intent: "validate", budget: { max_actions: 0 } }] }));
  await fleet.writeSchedule("stranger", aScheduleFile("stranger"));
  fleet.setTime("2026-03-29T00:00:00Z");

  await sweepSchedules(fleet.fleet);

  expect((await fleet.orders()).map((order) => order["product_id"])).toEqual([other]);
  const { schedules } = await see(fleet, by);
  expect(schedules.map(({ schedule }) => [schedule.id, schedule.problems?.[0]?.path ?? null])).toEqual([
    [id, "jobs[0].budget.max_actions"],
    [other, null],
    ["stranger", "product_id"],
  ]);
  expect(fleet.logged.map(({ message }) => message)).toContainEqual(
    expect.stringMatching(new RegExp(`${id}\\.json is not valid: jobs\\[0\\]\\.budget\\.max_actions: `)),
  );

  await fleet.writeSchedule(id, aScheduleFile(id));
  await sweepSchedules(fleet.fleet);
  expect(await fleet.orders()).toHaveLength(2);
});

test("a removed file removes its schedule; without the folder nothing changes", async () => {
  const { fleet, by, id } = await world();
  await using _ = fleet;
  await fleet.writeSchedule(id, aScheduleFile(id));
  const elsewhere = await fleet.another({ env: { FLEET_SCHEDULES: "/nowhere" } });

  expect(await syncSchedules(elsewhere.fleet)).toHaveLength(1);
  expect((await see(fleet, by)).schedules).toHaveLength(1);

  await fleet.writeSchedule(id, undefined);
  expect((await see(fleet, by)).schedules).toEqual([]);
});

test("a new timing does not make up the slots of the old one", async () => {
  const { fleet, id } = await world();
  await using _ = fleet;
  await fleet.writeSchedule(id, aScheduleFile(id, { cadence: "weekly" }));
  fleet.setTime("2026-04-03T10:20:00Z");

  await fleet.writeSchedule(id, aScheduleFile(id, { cadence: "hourly" }));
  await sweepSchedules(fleet.fleet);
  expect(await fleet.orders()).toEqual([]);

  fleet.setTime("2026-04-03T11:00:00Z");
  await sweepSchedules(fleet.fleet);
  expect(await fleet.orders()).toHaveLength(1);
});

test("a paused schedule creates nothing and has no scheduler; after a resume only later slots run", async () => {
  const { fleet, by, id } = await world();
  await using _ = fleet;
  await fleet.writeSchedule(id, aScheduleFile(id));

  await pauseScheduleFor(fleet.fleet, by, id, "the machine moves");
  expect(await syncSchedules(fleet.fleet)).toEqual([]);
  fleet.setTime("2026-03-29T04:30:00Z");
  await sweepSchedules(fleet.fleet);
  expect(await fleet.orders()).toEqual([]);

  await resumeScheduleFor(fleet.fleet, by, id);
  await sweepSchedules(fleet.fleet);
  expect(await fleet.orders()).toEqual([]);
  fleet.setTime("2026-03-29T05:00:00Z");
  await sweepSchedules(fleet.fleet);
  expect(await fleet.orders()).toHaveLength(1);
  const actions = await fleet.query("select action, detail->>'reason' as reason from audit_log where actor = $1", [
    by.id,
  ]);
  expect(actions).toEqual([
    { action: "schedule.paused", reason: "the machine moves" },
    { action: "schedule.resumed", reason: null },
  ]);
});

test("pushes while orders are open lead to one run afterwards", async () => {
  const { fleet, by, id } = await world();
  await using _ = fleet;
  await fleet.writeSchedule(id, aScheduleFile(id, { cadence: "on_push" }));

  expect((await handlePush(fleet.fleet, by, id, "a".repeat(40))).orders).toHaveLength(1);
  for (const second of [1, 2, 3]) {
    fleet.setTime(`2026-03-29T00:00:0${second}Z`);
    expect((await handlePush(fleet.fleet, by, id)).outcome).toBe("waits: 1 of its orders is still open");
  }
  await sweepSchedules(fleet.fleet);
  expect(await fleet.orders()).toHaveLength(1);

  await fleet.finishOrders();
  await sweepSchedules(fleet.fleet);
  await fleet.finishOrders();
  await sweepSchedules(fleet.fleet);

  expect((await fleet.orders()).map((order) => order["source"])).toEqual(["push", "push"]);
});

test("a push to a product without an on_push schedule does nothing, and another tenant's product is not found", async () => {
  const { fleet, by, id } = await world();
  await using _ = fleet;
  await fleet.writeSchedule(id, aScheduleFile(id));
  const stranger = await fleet.operator();

  expect(await handlePush(fleet.fleet, by, id)).toMatchObject({
    orders: [],
    outcome: expect.stringMatching(/^nothing/),
  });
  await expect(handlePush(fleet.fleet, stranger, id)).rejects.toMatchObject({ code: "not-found" });
  await expect(pauseScheduleFor(fleet.fleet, stranger, id, "mine")).rejects.toMatchObject({ code: "not-found" });
  expect((await see(fleet, stranger)).schedules).toEqual([]);
});

test("differences between files, rows and queue are reported", async () => {
  const { fleet, by, id } = await world();
  await using _ = fleet;
  await fleet.writeSchedule(id, aScheduleFile(id));
  const { broker } = fleet.fleet;
  const allDifferences = async () => {
    const { schedules, strays } = await see(fleet, by);
    return [...schedules.flatMap(({ differences }) => differences), ...strays.map(describeDifference)];
  };
  expect(await allDifferences()).toEqual(["the queue has no scheduler for it (at 0 * * * * UTC)"]);

  const ticking = await syncSchedules(fleet.fleet);
  await broker.applySchedules(ticking);
  expect(await allDifferences()).toEqual([]);

  await broker.applySchedules(ticking.map((one) => ({ ...one, pattern: "5 * * * *" })));
  expect(await allDifferences()).toEqual(["the queue runs it at 5 * * * * UTC, but its file says at 0 * * * * UTC"]);

  const ghost = { ...ticking[0], id: `${plannerQueue.name}/local/ghost`, queue: plannerQueue, everyMs: 3_600_000 };
  const payload = { kind: "schedule", tenantId: "local", scheduleId: "ghost" } as const;
  await broker.applySchedules([...ticking, { ...ghost, payload }]);
  expect(await allDifferences()).toEqual(["the queue still runs it at 0 * * * * UTC"]);
});
