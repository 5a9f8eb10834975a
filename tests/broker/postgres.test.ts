/** The broker on PostgreSQL: the contract of every backend, and what only PostgreSQL can do to us. */
import { afterAll, beforeAll } from "vitest";
import { migrateQueueBackend } from "../../src/broker/broker.ts";
import { testBrokerJobs } from "../contracts/broker.ts";
import { testBroker, type Farm } from "../contracts/broker-support.ts";
import { testDatabase, type TestDatabase } from "../support/database.ts";

const prefix = "test";
let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase("empty");
  await migrateQueueBackend(database.url, prefix);
});
afterAll(() => database[Symbol.asyncDispose]());

const farm: Farm = (more) => testBroker({ databaseUrl: database.url, prefix, ...more });

testBrokerJobs(farm);
