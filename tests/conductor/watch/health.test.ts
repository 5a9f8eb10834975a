/** Self-monitoring: each episode is reported once, whichever process sees it, and so is its end. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { monitorProcessor } from "../../../processors/monitor.ts";
import { watchInvariants } from "../../../src/conductor/watch/invariants.ts";
import { readChecks } from "../../../src/conductor/watch/checks.ts";
import { readAlerts, watchFleet } from "../../../src/conductor/watch/health.ts";
import { AlertEvent } from "../../../src/domain/notify/alert.ts";
import { testFleet, type TestFleet, type TestProcess } from "../../support/fleet.ts";
import { manyTasks, forceStatus } from "../../support/store.ts";

let fleet: TestFleet;
let other: TestProcess;

beforeAll(async () => {
  fleet = await testFleet({ settings: { governance: { overload: { queueDepth: 4 }, denials: { spawns: 4 } } } });
  other = await fleet.another();
});
afterAll(() => fleet[Symbol.asyncDispose]());

async function notified(type: string): Promise<string[]> {
  const rows = await fleet.query("select payload from outbox where topic = 'event' order by id");
  const events = rows.flatMap(({ payload }) => AlertEvent.safeParse(payload).data ?? []);
  return events
    .filter((event) => event.type === type)
    .map(({ subject, data }) => `${subject} ${data.state} ${data.episode}`);
}

async function noted(type: string): Promise<unknown> {
  const [row] = await fleet.query("select count(*)::int as n from fleet_notifications where type = $1", [type]);
  return row?.["n"];
}

/** Two processes at once, several times. */
async function watch() {
  await Promise.all([watchFleet(fleet.fleet), watchFleet(other.fleet)]);
  await watchFleet(fleet.fleet);
}

test("a queue that is too long is reported as overload, at its beginning and its end, and again the next time", async () => {
  const by = await fleet.operator();
  const line = (
    await manyTasks(
      fleet.fleet.store,
      { url: fleet.databaseUrl, ...fleet },
      { operator: by, count: 5, status: "proposed" },
    )
  ).map(({ id }) => id);
  const wait = (count: number) =>
    forceStatus(fleet, line.slice(0, count), "proposed", {
      condition: "waiting_slot",
      condition_detail: { host: "h" },
      condition_since: new Date(),
    });
  const leave = (from: number) =>
    forceStatus(fleet, line.slice(from), "proposed", { condition: "ok", condition_detail: null });

  await wait(5);
  await watch();
  expect(await notified("FLEET_OVERLOAD")).toEqual(["fleet raised 1"]);
  await leave(3);
  await watch();
  expect(await notified("FLEET_OVERLOAD")).toEqual(["fleet raised 1"]);
  await leave(0);
  await watch();
  expect(await notified("FLEET_OVERLOAD")).toEqual(["fleet raised 1", "overload ended 1"]);
  await wait(1);
  await fleet.query("update fleet_tasks set condition_since = now() - interval '1 hour' where id = $1", [line[0]]);
  await watch();

  expect(await notified("FLEET_OVERLOAD")).toEqual(["fleet raised 1", "overload ended 1", "fleet raised 2"]);
  expect(await noted("fleet_overload")).toBe(3);
});

test("an overdue check is noticed by any process, also without a scheduler, until it has run", async () => {
  await watch();
  const names = (await readChecks(fleet.fleet)).map(({ name }) => name);
  expect(names).toEqual(
    expect.arrayContaining([
      "gc/hosts",
      "monitor/checkpoint",
      "monitor/invariants",
      "monitor/reconcile",
      "planner/due",
      "host/here",
    ]),
  );
  expect(await notified("GOVERNANCE_ALERT")).toEqual([]);

  await fleet.query(
    "update checks set since = now() - interval '1 hour' where name in ('monitor/invariants', 'monitor/checkpoint')",
  );
  await watch();
  expect(await notified("GOVERNANCE_ALERT")).toEqual(["monitor/invariants raised 1"]);
  expect((await readAlerts(fleet.fleet)).map(({ key }) => key)).toContain("check/monitor/invariants");

  await monitorProcessor.handle(fleet.fleet, { kind: "invariants" }, new AbortController().signal);
  await watch();

  expect(await notified("GOVERNANCE_ALERT")).toEqual([
    "monitor/invariants raised 1",
    "check/monitor/invariants ended 1",
  ]);
  const check = (await readChecks(fleet.fleet)).find(({ name }) => name === "monitor/invariants");
  expect(check).toMatchObject({ isOverdue: false, result: { violations: [] } });
  expect(check?.result["checked"]).toBeGreaterThan(10);
});

test("a broken invariant is reported once with its violations, and its end when it holds again", async () => {
  const by = await fleet.operator();
  await manyTasks(
    fleet.fleet.store,
    { url: fleet.databaseUrl, ...fleet },
    { operator: by, count: 1, status: "proposed" },
  );
  await fleet.query("update slots set active = 7 where operator_id = $1", [by.id]);

  const first = await watchInvariants(fleet.fleet);
  await watchInvariants(fleet.fleet);
  await fleet.query("update slots set active = 1 where operator_id = $1", [by.id]);
  const last = await watchInvariants(fleet.fleet);

  const mine = (await notified("GOVERNANCE_ALERT")).filter((event) => event.includes("R6"));
  expect(mine).toEqual(["R6 raised 1", "invariant/R6 ended 1"]);
  expect(first).toMatchObject({
    violations: expect.arrayContaining([expect.objectContaining({ id: "R6", count: 1 })]),
  });
  expect(last).not.toMatchObject({ violations: expect.arrayContaining([expect.objectContaining({ id: "R6" })]) });
});

test("an operator with many denied spawns is reported once, until a quiet period has passed", async () => {
  const [ada, bob] = [await fleet.operator({ tier: "builder" }), await fleet.operator({ tier: "builder" })];
  const repository = await fleet.aRepository();
  const refuse = async (by: typeof ada, times: number) => {
    for (let n = 0; n < times; n += 1)
      await expect(fleet.spawn(by, { repository })).rejects.toThrow("may hold 1 slots");
  };
  const ofThem = async () =>
    (await notified("GOVERNANCE_ALERT")).filter((text) => text.includes(ada.id) || text.includes(bob.id));
  await fleet.spawn(ada, { repository });
  await fleet.spawn(bob, { repository });

  await refuse(ada, 3);
  await refuse(bob, 3);
  await watch();
  expect(await ofThem()).toEqual([]);
  await refuse(ada, 1);
  await watch();
  await refuse(ada, 3);
  await watch();
  expect(await ofThem()).toEqual([`${ada.id} raised 1`]);
  expect((await readAlerts(fleet.fleet)).find(({ key }) => key === `denied/${ada.id}`)).toMatchObject({
    summary: `operator ${ada.id} was denied 4 spawns within 5 min`,
  });

  // As when time has passed: the current values are far from the alert thresholds.
  const { settings } = fleet.fleet;
  const denials = { spawns: 100, minutes: 5 };
  await watchFleet({ ...fleet.fleet, settings: { ...settings, governance: { ...settings.governance, denials } } });
  expect(await ofThem()).toEqual([`${ada.id} raised 1`, `denied/${ada.id} ended 1`]);
});
