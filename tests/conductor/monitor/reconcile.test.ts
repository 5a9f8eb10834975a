/** The reconciler: a job that is lost is added again, once, however often it runs. */
import { expect, test } from "vitest";
import { spawnQueue } from "../../../queues/spawn.ts";
import { startAttempt } from "../../../src/conductor/attempts/start.ts";
import { reconcile } from "../../../src/conductor/monitor/reconcile.ts";
import { eventually } from "../../support/eventually.ts";
import { testFleet, type TestFleet } from "../../support/fleet.ts";

const NOTHING = { readded: 0, reissued: 0, takenOver: 0, slotsRepaired: 0, notificationsReissued: 0, orders: 0 };
const signal = new AbortController().signal;

/** Tasks whose hints were lost with Redis. */
async function forgotten(fleet: TestFleet, count: number) {
  const by = await fleet.operator({ tier: "sovereign" });
  const repository = await fleet.aRepository();
  const tasks = [];
  for (let at = 0; at < count; at += 1) tasks.push(await fleet.spawn(by, { repository, script: "hang" }));
  await fleet.query("update outbox set processed_at = now()");
  await overdue(fleet);
  return tasks;
}

const overdue = (fleet: TestFleet) =>
  fleet.query("update fleet_tasks set due_at = now() - interval '1 min' where waiting_for is not null");

test("without lost jobs it does nothing", async () => {
  await using fleet = await testFleet();
  await fleet.spawn(await fleet.operator(), { repository: await fleet.aRepository() });

  expect(await reconcile(fleet.fleet)).toEqual(NOTHING);
});

test.each(["redis", "postgres"] as const)(
  "on %s lost jobs are added again, and a second pass adds nothing",
  async (queues) => {
    await using fleet = await testFleet({ queues });
    await forgotten(fleet, 5);

    const first = await reconcile(fleet.fleet);
    expect(await fleet.fleet.broker.depth(spawnQueue)).toMatchObject({ waiting: 5 });
    // The pass has checked them, and so leaves them alone for a while.
    expect(await fleet.query("select id from fleet_tasks where due_at < now()")).toEqual([]);
    const second = await reconcile(fleet.fleet);
    await overdue(fleet);
    const third = await reconcile(fleet.fleet);

    expect(first).toEqual({ ...NOTHING, readded: 5 });
    // At first they were just checked, so they are left alone; later their jobs are still queued, so the pass waits.
    expect([second, third]).toEqual([NOTHING, NOTHING]);
    expect(await fleet.fleet.broker.depth(spawnQueue)).toMatchObject({ waiting: 5 });
    expect(await fleet.query("select distinct epoch from fleet_tasks")).toEqual([{ epoch: 1 }]);
  },
);

test("a job that ended without moving its task is replaced under a new epoch", async () => {
  await using fleet = await testFleet();
  const [task] = await forgotten(fleet, 1);
  const { broker } = fleet.fleet;
  await broker.addJobs([{ queue: spawnQueue, payload: { taskId: task?.id, epoch: 1 } }]);
  const consumer = await broker.consume(spawnQueue, async () => "did nothing");
  while ((await broker.depth(spawnQueue)).completed === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  await consumer.close();

  const first = await reconcile(fleet.fleet);
  const second = await reconcile(fleet.fleet);

  expect([first, second]).toEqual([{ ...NOTHING, reissued: 1 }, NOTHING]);
  expect(await fleet.read(task?.id ?? "")).toMatchObject({ epoch: 2, status: "proposed", waitingFor: "spawn" });
  // The old hint is a no-op now, the new one starts it.
  expect(await startAttempt(fleet.fleet, { taskId: task?.id ?? "", epoch: 1 }, signal)).toBeUndefined();
  expect((await fleet.runUntil(task?.id ?? "", "running")).attempt).toBe(0);
});

test("the spawn of a dead worker is taken over by its host, and counts as a crash, not as a retry", async () => {
  let died = false;
  await using fleet = await testFleet({
    parts: {
      faultPoint: (point) => {
        if (point !== "install:before" || died) return Promise.resolve();
        died = true;
        return new Promise<void>(() => {});
      },
    },
  });
  const { id } = await fleet.spawn(await fleet.operator(), { repository: await fleet.aRepository(), script: "hang" });
  void startAttempt(fleet.fleet, { taskId: id, epoch: 1 }, signal);
  await eventually(() => Promise.resolve(died || undefined));
  await fleet.query("update fleet_tasks set epoch = epoch + 1, lease_until = now() - interval '1 s'");

  expect(await reconcile(fleet.fleet)).toEqual({ ...NOTHING, takenOver: 1 });
  expect(await reconcile(fleet.fleet)).toEqual(NOTHING);

  const running = await fleet.runUntil(id, "running");
  expect(running).toMatchObject({ attempt: 0, retryCount: 0, metadata: { crashes: 1 } });
});

test("a spawn that crashes every worker fails as environment_error after a bounded number of crashes", async () => {
  await using fleet = await testFleet();
  const { id } = await fleet.spawn(await fleet.operator(), { repository: await fleet.aRepository(), script: "hang" });
  await startAttempt(fleet.fleet, { taskId: id, epoch: 1 }, signal);
  await fleet.query(`set session_replication_role = replica; update fleet_tasks set status = 'spawning',
    lease_until = now() - interval '1 s', metadata = metadata || '{"crashes": 8}'`);

  await reconcile(fleet.fleet);

  expect(await fleet.read(id)).toMatchObject({ status: "failed", failureContext: { reason: "worker_crashes" } });
});

test("a wrong slot counter is corrected and logged", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  await fleet.spawn(by, { repository: await fleet.aRepository() });
  await fleet.query("update slots set active = 7");

  expect(await reconcile(fleet.fleet)).toEqual({ ...NOTHING, slotsRepaired: 1 });

  expect(await fleet.query("select active from slots")).toEqual([{ active: 1 }]);
  expect(fleet.logged.map(({ facts }) => facts["event"])).toContain("slots.leaked");
  expect(await reconcile(fleet.fleet)).toEqual(NOTHING);
});

test("of two concurrent reconcilers one works, and the other skips its pass", async () => {
  await using fleet = await testFleet();
  const other = await fleet.another();
  await forgotten(fleet, 3);

  const both = await Promise.all([reconcile(fleet.fleet), reconcile(other.fleet)]);

  expect(both.reduce((sum, one) => sum + (one?.readded ?? 0), 0)).toBe(3);
  expect(await fleet.fleet.broker.depth(spawnQueue)).toMatchObject({ waiting: 3 });
});

test("a notification whose job was lost is queued again, once", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const { id } = await fleet.spawn(by, { repository: await fleet.aRepository(), script: "exit-1" });
  await fleet.runUntil(id, "failed");
  await fleet.query("update outbox set processed_at = now() where topic = 'notify'");
  await fleet.query("update fleet_notifications set status = 'pending', due_at = now() - interval '1 min'");
  const [{ n } = { n: 0 }] = await fleet.query("select count(*)::int as n from fleet_notifications");

  const first = await reconcile(fleet.fleet);
  await fleet.startWorker(fleet, ["notify"]);
  for (let looks = 0; looks < 200; looks += 1) {
    const open = await fleet.query("select id from fleet_notifications where status = 'pending'");
    if (open.length === 0) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }

  expect(first?.notificationsReissued).toBe(n);
  expect(fleet.lines.filter((line) => line.includes("failed"))).toHaveLength(1);
});
