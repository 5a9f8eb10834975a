/** Failures that only Redis has: it is wiped, killed, breaks connections, or stays down. */
import { expect, test } from "vitest";
import { aGate, aJob, aQueue, onRedis, recorder, testBroker } from "../contracts/broker-support.ts";
import { eventually } from "../support/eventually.ts";
import { ownRedis } from "../support/redis.ts";

test("after Redis is wiped while in use, later jobs are consumed and schedules tick when applied again", async () => {
  await using redis = await ownRedis();
  await using broker = await testBroker({ redisUrl: redis.url });
  const queue = aQueue();
  const { notes, answer } = recorder();
  const gate = aGate();
  await broker.consume(queue, async (data) => {
    await answer(data);
    if (notes.length === 1) await gate.opened;
  });
  const schedules = [{ id: `${queue.name}/tick`, queue, everyMs: 200, payload: { note: "tick" } }];
  await broker.addJobs([aJob(queue, "before")]);
  await eventually(async () => notes.length === 1 || undefined);
  await broker.applySchedules(schedules);

  await onRedis(redis.url, (client) => client.flushall());
  gate.open();
  await broker.addJobs([aJob(queue, "after")]);

  await eventually(async () => notes.includes("after") || undefined);
  expect(await broker.applySchedules(schedules)).toMatchObject({ added: 1 });
  await eventually(async () => notes.includes("tick") || undefined);
});

test("after Redis is killed and started again, jobs are consumed again, and the wait for it is bounded", async () => {
  await using redis = await ownRedis();
  await using broker = await testBroker({ redisUrl: redis.url });
  const queue = aQueue();
  const { notes, answer } = recorder();
  await broker.consume(queue, answer);
  await broker.addJobs([aJob(queue, "before")]);
  await eventually(async () => notes.length === 1 || undefined);

  await redis.kill();
  await expect(broker.addJobs([aJob(queue, "lost")])).rejects.toMatchObject({ code: "queue-unavailable" });
  await expect(broker.addJobs([aJob(aQueue(), "lost")])).rejects.toMatchObject({ code: "queue-unavailable" });
  await redis.restart();

  await eventually(
    () =>
      broker.addJobs([aJob(queue, "after")]).then(
        () => true,
        () => undefined,
      ),
    20_000,
  );
  await eventually(async () => notes.includes("after") || undefined, 20_000);
});

test("broken connections are replaced", async () => {
  await using redis = await ownRedis();
  await using broker = await testBroker({ redisUrl: redis.url });
  const queue = aQueue();
  const { notes, answer } = recorder();
  await broker.consume(queue, answer);
  await broker.addJobs([aJob(queue, "before")]);
  await eventually(async () => notes.length === 1 || undefined);

  await onRedis(redis.url, (client) => client.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"));

  await eventually(() =>
    broker.addJobs([aJob(queue, "after")]).then(
      () => true,
      () => undefined,
    ),
  );
  expect(await eventually(async () => notes.includes("after") || undefined)).toBe(true);
});

test("closing without a Redis is bounded, too", async () => {
  await using redis = await ownRedis();
  const broker = await testBroker({ redisUrl: redis.url });
  await broker.consume(aQueue(), () => new Promise(() => {}));
  await redis.kill();

  await broker.close();

  expect(broker.errors.length).toBeGreaterThan(0);
});
