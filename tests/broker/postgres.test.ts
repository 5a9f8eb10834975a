/** The broker on PostgreSQL: the contract of every backend, and failures that only PostgreSQL has. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { migrateQueueBackend } from "../../src/broker/broker.ts";
import { testBrokerEnding } from "../contracts/broker-ending.ts";
import { testBrokerSchedules } from "../contracts/broker-schedules.ts";
import { aJob, aQueue, recorder, testBroker, type BrokerFactory } from "../contracts/broker-support.ts";
import { testBrokerJobs } from "../contracts/broker.ts";
import { testDatabase, type TestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";

const prefix = "test";
const OURS = "application_name = 'fleet-queues' and datname = current_database()";
let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase("empty");
  await migrateQueueBackend(database.url, prefix);
});
afterAll(() => database[Symbol.asyncDispose]());

const where = () => ({ databaseUrl: database.url, prefix });
const farm: BrokerFactory = (more) => testBroker({ ...where(), ...more });

describe.concurrent("every backend, on PostgreSQL", () => {
  testBrokerJobs(farm);
  testBrokerSchedules(farm, loseJob);
  testBrokerEnding(farm, where);
});

describe.concurrent("only PostgreSQL", () => {
  test("a database without the queues' tables is refused with instructions", async () => {
    await using empty = await testDatabase("empty");

    const opening = testBroker({ databaseUrl: empty.url });

    await expect(opening).rejects.toMatchObject({ code: "queue-unusable" });
    await expect(opening).rejects.toThrow("fleet migrate");
  });

  test("an unreachable PostgreSQL is reported in a sentence", async () => {
    const opening = testBroker({ databaseUrl: "postgres://nobody:hush@127.0.0.1:1/none" });

    await expect(opening).rejects.toMatchObject({ code: "queue-unavailable" });
    await expect(opening).rejects.not.toThrow("hush");
  });

  test("two concurrent migrations have the effect of one", async () => {
    await using empty = await testDatabase("empty");

    await Promise.all([migrateQueueBackend(empty.url, prefix), migrateQueueBackend(empty.url, prefix)]);

    await using broker = await testBroker({ databaseUrl: empty.url, prefix });
    expect(await broker.depth(aQueue())).toMatchObject({ waiting: 0 });
  });

  test("many queues and workers use no more connections than the broker's limit", async () => {
    await using empty = await testDatabase("empty");
    await migrateQueueBackend(empty.url, prefix);
    await using broker = await testBroker({ databaseUrl: empty.url, prefix });
    const { notes, answer } = recorder();
    const queues = Array.from({ length: 12 }, () => aQueue());
    await Promise.all(queues.map((queue) => broker.consume(queue, answer)));

    await broker.addJobs(queues.flatMap((queue) => Array.from({ length: 10 }, (_, n) => aJob(queue, String(n)))));
    await eventually(async () => notes.length === 120 || undefined);

    const [taken] = await empty.query(`select count(*)::int as n from pg_stat_activity where ${OURS}`);
    expect(taken?.["n"]).toBeLessThanOrEqual(broker.databaseConnections);
  });

  test("broken connections are replaced", async () => {
    await using empty = await testDatabase("empty");
    await migrateQueueBackend(empty.url, prefix);
    await using broker = await testBroker({ databaseUrl: empty.url, prefix });
    const queue = aQueue();
    const { notes, answer } = recorder();
    await broker.consume(queue, answer);
    await broker.addJobs([aJob(queue, "before")]);
    await eventually(async () => notes.length === 1 || undefined);

    await empty.query(`select pg_terminate_backend(pid) from pg_stat_activity where ${OURS}`);

    await eventually(() =>
      broker.addJobs([aJob(queue, "after")]).then(
        () => true,
        () => undefined,
      ),
    );
    expect(await eventually(async () => notes.includes("after") || undefined)).toBe(true);
  });
});

async function loseJob(queue: string, jobId: string): Promise<void> {
  await database.query("delete from test_queues.job where queue = $1 and id = $2", [queue, jobId]);
}
