/** The broker on Redis: the contract of every backend, and what only Redis can do to us. */
import { randomBytes } from "node:crypto";
import { inject } from "vitest";
import { testBrokerJobs } from "../contracts/broker.ts";
import { testBroker, type Farm } from "../contracts/broker-support.ts";

const prefix = `test-${randomBytes(4).toString("hex")}`;
const farm: Farm = (more) => testBroker({ redisUrl: inject("redisUrl"), prefix, ...more });

testBrokerJobs(farm);
