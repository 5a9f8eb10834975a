/** The broker on Redis: the contract of every backend, and what only Redis can do to us. */
import { randomBytes } from "node:crypto";
import { Redis } from "ioredis";
import { describe, expect, inject, test } from "vitest";
import { testBrokerEnding } from "../contracts/broker-ending.ts";
import { testBrokerSchedules } from "../contracts/broker-schedules.ts";
import { aGate, aJob, aQueue, recorder, testBroker, type Farm } from "../contracts/broker-support.ts";
import { testBrokerJobs } from "../contracts/broker.ts";
import { eventually } from "../support/eventually.ts";
import { ownRedis } from "../support/redis.ts";

const prefix = `test-${randomBytes(4).toString("hex")}`;
const where = () => ({ redisUrl: inject("redisUrl"), prefix });
const farm: Farm = (more) => testBroker({ ...where(), ...more });

describe.concurrent("every backend, on Redis", () => {
  testBrokerJobs(farm);
  testBrokerSchedules(farm, loseJob);
  testBrokerEnding(farm, where);
});

describe.concurrent("at the door of Redis", () => {
  test("a Redis that evicts is refused, with what to do", async () => {
    await using redis = await ownRedis();
    await onRedis(redis.url, (client) => client.config("SET", "maxmemory-policy", "allkeys-lru"));

    const opening = testBroker({ redisUrl: redis.url });

    await expect(opening).rejects.toMatchObject({ code: "queue-unusable", facts: { policy: "allkeys-lru" } });
    await expect(opening).rejects.toThrow("Set it to noeviction");
  });

  test("no Redis at all is said in a sentence, without its password", async () => {
    const opening = testBroker({ redisUrl: "redis://:hush@127.0.0.1:1" });

    await expect(opening).rejects.toMatchObject({ code: "queue-unavailable" });
    await expect(opening).rejects.toThrow(/Redis at 127\.0\.0\.1:1 cannot be used: .*ECONNREFUSED/);
  });

  test("memory pressure is what is used of the limit", async () => {
    await using redis = await ownRedis();
    await using free = await testBroker({ redisUrl: redis.url });
    expect(await free.memoryPressure()).toBe(0);
    await onRedis(redis.url, (client) => client.config("SET", "maxmemory", "100mb"));

    await using bound = await testBroker({ redisUrl: redis.url });

    const pressure = await bound.memoryPressure();
    expect(pressure).toBeGreaterThan(0.001);
    expect(pressure).toBeLessThan(0.2);
  });
});

describe.concurrent("Redis in trouble", () => {
  test("Redis wiped in mid-flight: later jobs are consumed, schedules tick when applied again", async () => {
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

  test("Redis killed and started again: jobs are consumed again, and waiting for it is bounded", async () => {
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

  test("connections that are cut are made anew", async () => {
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

  test("closing without a Redis is bounded too", async () => {
    await using redis = await ownRedis();
    const broker = await testBroker({ redisUrl: redis.url });
    await broker.consume(aQueue(), () => new Promise(() => {}));
    await redis.kill();

    await broker.close();

    expect(broker.errors.length).toBeGreaterThan(0);
  });
});

async function loseJob(queue: string, jobId: string): Promise<void> {
  const key = `${prefix}:${queue}`;
  await onRedis(inject("redisUrl"), async (client) => {
    await client.zrem(`${key}:delayed`, jobId);
    await client.lrem(`${key}:wait`, 0, jobId);
    await client.del(`${key}:${jobId}`);
  });
}

async function onRedis<Result>(url: string, ask: (client: Redis) => Promise<Result>): Promise<Result> {
  const client = new Redis(url);
  try {
    return await ask(client);
  } finally {
    client.disconnect();
  }
}
