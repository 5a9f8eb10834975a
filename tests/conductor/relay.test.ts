/** The relay: outbox rows become jobs, at least once, and one invalid row does not block the others. */
import { expect, test } from "vitest";
import { spawnQueue } from "../../queues/spawn.ts";
import { relayOnce, relayWaiting } from "../../src/conductor/relay.ts";
import { testFleet, type TestFleet } from "../support/fleet.ts";
import { ownRedis } from "../support/redis.ts";

async function withHints(fleet: TestFleet, count: number) {
  const by = await fleet.operator();
  const repository = await fleet.aRepository();
  const tasks = [];
  for (let at = 0; at < count; at += 1) tasks.push(await fleet.spawn(by, { repository }));
  return tasks;
}

const waiting = async (fleet: TestFleet) =>
  (await fleet.query("select count(*)::int as n from outbox where processed_at is null"))[0]?.["n"];

test.each(["redis", "postgres"] as const)("on %s each hint becomes one job, and is published once", async (queues) => {
  await using fleet = await testFleet({ queues });
  await withHints(fleet, 3);

  expect(await relayOnce(fleet.fleet)).toBe(3);
  expect(await relayOnce(fleet.fleet)).toBe(0);

  expect(await fleet.fleet.broker.depth(spawnQueue)).toMatchObject({ waiting: 3 });
  expect(await waiting(fleet)).toBe(0);
});

test("two relays share the rows: none is relayed twice, and none is left", async () => {
  await using fleet = await testFleet();
  const other = await fleet.another();
  await withHints(fleet, 8);

  const taken = await Promise.all([relayOnce(fleet.fleet), relayOnce(other.fleet), relayOnce(fleet.fleet)]);

  expect(taken.reduce((sum, one) => sum + one, 0)).toBe(8);
  expect(await waiting(fleet)).toBe(0);
  expect(await fleet.fleet.broker.depth(spawnQueue)).toMatchObject({ waiting: 8 });
});

test("invalid rows are quarantined with their reason and finally dead, and valid rows are relayed", async () => {
  await using fleet = await testFleet();
  const [first, second] = await withHints(fleet, 3);
  await fleet.query(
    `update outbox set payload = '{"taskId": "no uuid", "epoch": 1}' where task_id = $1 and topic = 'spawn'`,
    [first?.id],
  );
  await fleet.query("update outbox set topic = 'nowhere' where task_id = $1 and topic = 'spawn'", [second?.id]);

  await relayOnce(fleet.fleet);

  expect(await fleet.fleet.broker.depth(spawnQueue)).toMatchObject({ waiting: 1 });
  const bad = await fleet.query(
    "select last_error, retry_count, dead_at from outbox where processed_at is null order by id",
  );
  expect(bad).toEqual([
    { last_error: expect.stringContaining("taskId"), retry_count: 1, dead_at: null },
    { last_error: "there is no queue nowhere", retry_count: 1, dead_at: null },
  ]);
  for (let tries = 2; tries <= 5; tries += 1) {
    await fleet.query("update outbox set next_attempt_at = now()");
    await relayOnce(fleet.fleet);
  }
  expect(await fleet.query("select retry_count from outbox where dead_at is not null")).toEqual([
    { retry_count: 5 },
    { retry_count: 5 },
  ]);
  await fleet.query("update outbox set next_attempt_at = now()");
  expect(await relayOnce(fleet.fleet)).toBe(0);
});

test("while Redis is down the rows wait, and when it is back each is relayed", async () => {
  await using redis = await ownRedis();
  await using fleet = await testFleet({ env: { REDIS_URL: redis.url } });
  await withHints(fleet, 2);
  await redis.kill();

  await expect(relayOnce(fleet.fleet)).rejects.toMatchObject({ failure: { retry: true } });
  expect(await waiting(fleet)).toBe(2);
  expect(await fleet.query("select distinct retry_count from outbox")).toEqual([{ retry_count: 0 }]);
  await redis.restart();

  for (let tries = 0; (await waiting(fleet)) !== 0 && tries < 100; tries += 1) {
    await relayOnce(fleet.fleet).catch(() => new Promise((resolve) => setTimeout(resolve, 100)));
  }
  expect(await fleet.fleet.broker.depth(spawnQueue)).toMatchObject({ waiting: 2 });
});

test("many full batches are relayed to the last row, each row once", async () => {
  await using fleet = await testFleet();
  const [task] = await withHints(fleet, 1);
  await fleet.query(
    `insert into outbox (tenant_id, operator_id, task_id, topic, dedup_key, payload)
     select tenant_id, operator_id, id, 'spawn', 'spawn/many/' || n, jsonb_build_object('taskId', gen_random_uuid(), 'epoch', 1)
     from fleet_tasks, generate_series(1, 2300) as n where id = $1`,
    [task?.id],
  );

  expect(await relayWaiting(fleet.fleet)).toBe(2_301);

  expect(await waiting(fleet)).toBe(0);
  expect(await fleet.fleet.broker.depth(spawnQueue)).toMatchObject({ waiting: 2_301 });
});
