/**
 * A handful of tasks through real processes and stores, with one fault each time: a short version of `npm run chaos`.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { startClients } from "../chaos/clients.ts";
import { startWorkerPool, type WorkerPool } from "../chaos/workers.ts";
import { startDuplicates } from "../chaos/duplicates.ts";
import { awaitDeath, cutPostgres, killAtEnv, flushRedis, type ChaosContext } from "../chaos/faults.ts";
import { seededRandom } from "../../src/processes/seeded-random.ts";
import { proveAll } from "../chaos/proofs.ts";
import { waitUntilIdle } from "../chaos/idle.ts";
import { openEnvironment, type ChaosEnvironment } from "../chaos/environment.ts";

const random = seededRandom(11);
/** Without any transition for so long, something is stuck. */
const STUCK_MS = 60_000;
const TASKS = 3;

let stage: ChaosEnvironment;
let crew: WorkerPool;
const requested = new Map<string, string>();
beforeAll(async () => {
  stage = await openEnvironment({ queue: "redis", slots: 4 });
  // Alone, so that this worker reaches the point at which it is to die.
  crew = await startWorkerPool(stage, 1);
});
afterAll(async () => {
  await crew?.stop();
  await stage?.[Symbol.asyncDispose]();
});

/**
 * Requests some tasks, injects the fault while they are running, waits until the fleet is idle; returns the
 * violations.
 */
async function suffer(name: string, strike: (arena: ChaosContext) => Promise<unknown>): Promise<readonly string[]> {
  const arena: ChaosContext = { stage, crew, strikes: [], random, isOver: () => false, rounds: 1, say: () => {} };
  const asking = startClients(stage, TASKS, name);
  await Promise.all([asking.done, strike(arena)]);
  for (const [key, id] of asking.tasks) requested.set(key, id);
  const stuck = await waitUntilIdle(stage, STUCK_MS);
  const broken = (await proveAll(stage, requested)).flatMap(({ id, violations }) =>
    violations.map((text) => `${id}: ${text}`),
  );
  const wrong = [...asking.wrong, ...crew.unexpectedExits, ...arena.strikes.flatMap((struck) => struck.wrong ?? [])];
  return [...broken, ...wrong, ...(stuck ? [`stuck: ${JSON.stringify(stuck)}`] : [])];
}

async function dieAt(arena: ChaosContext, point: string): Promise<void> {
  const [worker] = crew.workers();
  if (!worker) throw new Error("There is no worker.");
  const armed = await crew.replace(worker, killAtEnv([point]));
  expect(await awaitDeath(arena, armed)).toBe(point);
  await crew.successor(armed);
}

test.each(["process:before", "process:after"])(
  "after a worker dies at %s nothing is missing and nothing happened twice",
  async (point) => {
    expect(await suffer(`kill-${point.replace(":", "-")}`, (arena) => dieAt(arena, point))).toEqual([]);
  },
);

test("two workers take over where one was", async () => {
  await crew.stop();
  crew = await startWorkerPool(stage, 2);

  expect(crew.workers()).toHaveLength(2);
});

test("an emptied Redis loses no task, and its schedules tick again", async () => {
  expect(await suffer("flush", flushRedis)).toEqual([]);
});

test("when PostgreSQL ends every connection no process exits, and nothing is left half done", async () => {
  expect(await suffer("cut", cutPostgres)).toEqual([]);
});

test("a job that is delivered four times, in any order, has an effect once", async () => {
  const duplicates = await startDuplicates(stage, random);
  const broken = await suffer("again", () => Promise.resolve());
  await duplicates.stop();

  expect(broken).toEqual([]);
  expect(duplicates.count).toBeGreaterThan(0);
});
