/** The broker on Redis: the contract of every backend, and failures that only Redis has. */
import { randomBytes } from "node:crypto";
import { describe, expect, inject, test } from "vitest";
import { testBrokerEnding } from "../contracts/broker-ending.ts";
import { testBrokerSchedules } from "../contracts/broker-schedules.ts";
import { onRedis, testBroker, type BrokerFactory } from "../contracts/broker-support.ts";
import { testBrokerJobs } from "../contracts/broker.ts";
import { ownRedis } from "../support/redis.ts";

const prefix = `test-${randomBytes(4).toString("hex")}`;
const where = () => ({ redisUrl: inject("redisUrl"), prefix });
const farm: BrokerFactory = (more) => testBroker({ ...where(), ...more });

describe.concurrent("every backend, on Redis", () => {
  testBrokerJobs(farm);
  testBrokerSchedules(farm, loseJob);
  testBrokerEnding(farm, where);
});

describe.concurrent("connecting to Redis", () => {
  test("a Redis that evicts keys is refused with instructions", async () => {
    await using redis = await ownRedis();
    await onRedis(redis.url, (client) => client.config("SET", "maxmemory-policy", "allkeys-lru"));

    const opening = testBroker({ redisUrl: redis.url });

    await expect(opening).rejects.toMatchObject({ code: "queue-unusable", facts: { policy: "allkeys-lru" } });
    await expect(opening).rejects.toThrow("Set it to noeviction");
  });

  test("an unreachable Redis is reported in a sentence without its password", async () => {
    const opening = testBroker({ redisUrl: "redis://:hush@127.0.0.1:1" });

    await expect(opening).rejects.toMatchObject({ code: "queue-unavailable" });
    await expect(opening).rejects.toThrow(/Redis at 127\.0\.0\.1:1 cannot be used: .*ECONNREFUSED/);
  });

  test("memory pressure is the used share of the limit", async () => {
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

async function loseJob(queue: string, jobId: string): Promise<void> {
  const key = `${prefix}:${queue}`;
  await onRedis(inject("redisUrl"), async (client) => {
    await client.zrem(`${key}:delayed`, jobId);
    await client.lrem(`${key}:wait`, 0, jobId);
    await client.del(`${key}:${jobId}`);
  });
}
