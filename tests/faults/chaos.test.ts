/** A handful of tasks through real processes and stores, with one fault each time: what `npm run chaos` does at length. */
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
/** Nothing moves for so long only when something is stuck. */
const STUCK_MS = 60_000;
const TASKS = 3;

let stage: ChaosEnvironment;
let crew: WorkerPool;
const asked = new Map<string, string>();
beforeAll(async () => {
  stage = await openEnvironment({ queue: "redis", slots: 4 });
  // Alone, so that it is this worker that meets the point at which it is to die.
  crew = await startWorkerPool(stage, 1);
});
afterAll(async () => {
  await crew?.stop();
  await stage?.[Symbol.asyncDispose]();
});

/** Asks for some tasks, lets the fault strike when they flow, waits until it is quiet; answers with what does not hold. */
async function suffer(name: string, strike: (arena: ChaosContext) => Promise<unknown>): Promise<readonly string[]> {
  const arena: ChaosContext = { stage, crew, strikes: [], random, isOver: () => false, rounds: 1, say: () => {} };
  const asking = startClients(stage, TASKS, name);
  await Promise.all([asking.done, strike(arena)]);
  for (const [key, id] of asking.tasks) asked.set(key, id);
  const stuck = await waitUntilIdle(stage, STUCK_MS);
  const broken = (await proveAll(stage, asked)).flatMap(({ id, violations }) =>
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
  "a worker that dies at %s leaves nothing undone and nothing doubled",
  async (point) => {
    expect(await suffer(`kill-${point.replace(":", "-")}`, (arena) => dieAt(arena, point))).toEqual([]);
  },
);

test("a crew of two takes over where one was", async () => {
  await crew.stop();
  crew = await startWorkerPool(stage, 2);

  expect(crew.workers()).toHaveLength(2);
});

test("an emptied Redis loses no task, and its schedules tick again", async () => {
  expect(await suffer("flush", flushRedis)).toEqual([]);
});

test("PostgreSQL ends every connection: nobody exits, nothing is half done", async () => {
  expect(await suffer("cut", cutPostgres)).toEqual([]);
});

test("every job delivered four times, in any order, acts once", async () => {
  const duplicates = await startDuplicates(stage, random);
  const broken = await suffer("again", () => Promise.resolve());
  await duplicates.stop();

  expect(broken).toEqual([]);
  expect(duplicates.count).toBeGreaterThan(0);
});
