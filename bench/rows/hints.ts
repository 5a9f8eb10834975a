/** Rows 3 and 12b: the outbox relay: how soon one hint reaches the queue, and how many per second. */
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import { spawnQueue } from "../../queues/spawn.ts";
import { TaskJob } from "../../queues/task-job.ts";
import { jobOptions } from "../../src/broker/broker.ts";
import { relayWaiting } from "../../src/conductor/relay.ts";
import { applyTransition } from "../../src/conductor/tasks/transition.ts";
import { startRelay } from "../../src/processes/relay.ts";
import { toScoreLine, type ScoreLine } from "../line.ts";
import { pickFigure, interleave, computePercentiles, type Contender } from "../rounds.ts";
import type { BenchRow } from "../row.ts";
import { seedTasks } from "../seed.ts";
import { openStack, type Stack } from "../stack.ts";
import type { Database, BenchWorld } from "../world.ts";

const BATCH = 500;

export const hintsRow: BenchRow = {
  rows: ["3", "12b"],
  what: "from the outbox to the queue",
  async measure(world) {
    const idle = await world.database();
    const busy = await world.database();
    return [
      ...(await measureLatency(world, idle, await openStack(world, idle))),
      await measureThroughput(world, busy, await openStack(world, busy)),
    ];
  },
};

/** Measures from the commit that accepts the request to the first line of its processor, with nothing else to do. */
async function measureLatency(world: BenchWorld, database: Database, stack: Stack): Promise<ScoreLine[]> {
  const { open } = stack;
  const arrived = new Map<string, () => void>();
  await open.broker.consume(spawnQueue, async (data) => arrived.get(TaskJob.parse(data).taskId)?.());
  const relay = startRelay(open);
  world.defer(() => relay.stop());
  let kickedAt = 0;
  const kickRelay = () => {
    kickedAt = performance.now();
    open.fleet.kickRelay();
  };
  const fleet = { ...open.fleet, kickRelay };
  const count = world.size(40, 10);
  const ours = async () => {
    const tasks = await seedTasks(database, open.store, { count, status: "retrying" });
    const taken: number[] = [];
    for (const task of tasks) {
      await pause(5);
      const arrival = new Promise<number>((resolve) => arrived.set(task.id, () => resolve(performance.now())));
      await applyTransition(fleet, {
        task,
        takeOver: true,
        actor: "bench",
        action: "spawn.asked",
        next: { queue: "spawn" },
      });
      taken.push((await arrival) - kickedAt);
    }
    return computePercentiles(taken);
  };

  const theirs = addDirectly(world, count);
  const samples = await interleave(world.rounds, ours, theirs);
  const options = {
    row: "3",
    reference: "queue.add → processor starts",
    unit: "ms",
    reason: "the claim of the rows is one transaction (begin, select for update) before the same add",
  };
  return [
    toScoreLine(
      { ...options, what: "accepted → processor starts, p50", target: { atMost: 2.5 } },
      pickFigure(samples.ours, "p50"),
      pickFigure(samples.theirs, "p50"),
    ),
    toScoreLine(
      { ...options, what: "accepted → processor starts, p99", compared: "difference", target: { atMost: 5 } },
      pickFigure(samples.ours, "p99"),
      pickFigure(samples.theirs, "p99"),
    ),
  ];
}

/** The same queue options, but the waiting caller adds the job itself. */
function addDirectly(world: BenchWorld, count: number): Contender {
  const arrived = new Map<string, () => void>();
  const connection = new Redis(world.redisUrl, { maxRetriesPerRequest: null });
  const prefix = `q${randomUUID().slice(-8)}`;
  const queue = new Queue("bare", { connection, prefix });
  const answer = async ({ data }: { data: { taskId: string } }) => arrived.get(data.taskId)?.();
  const worker = new Worker("bare", answer, { connection, prefix });
  world.defer(async () => {
    await worker.close();
    await queue.close();
    connection.disconnect();
  });
  return async () => {
    const taken: number[] = [];
    for (let at = 0; at < count; at += 1) {
      await pause(5);
      const taskId = randomUUID();
      const there = new Promise<number>((resolve) => arrived.set(taskId, () => resolve(performance.now())));
      const from = performance.now();
      await queue.add("bare", { taskId, epoch: 1 }, { ...jobOptions(spawnQueue, {}), jobId: `bare_${taskId}_e1` });
      taken.push((await there) - from);
    }
    return computePercentiles(taken);
  };
}

async function measureThroughput(world: BenchWorld, database: Database, stack: Stack): Promise<ScoreLine> {
  const { fleet, store } = stack.open;
  const count = world.size(5_000, 1_000);
  await seedTasks(database, store, { count: 1, status: "retrying" });
  const connection = new Redis(world.redisUrl);
  world.defer(async () => connection.disconnect());
  const wrong = new Set<string>();
  const ours = async () => {
    await database.query(SEED_HINTS, [count]);
    const from = performance.now();
    const relayedRows = await relayWaiting(fleet);
    const ms = performance.now() - from;
    const depth = await stack.open.broker.depth(spawnQueue);
    if (relayedRows !== count || depth.waiting !== count)
      wrong.add(`${depth.waiting} jobs are in the queue, not ${count}`);
    await stack.open.broker.bullQueues([spawnQueue])[0]?.obliterate({ force: true });
    return { rate: (count / ms) * 1_000 };
  };
  const theirs = async () => {
    const queue = new Queue("bulk", { connection, prefix: `b${randomUUID().slice(-8)}` });
    await queue.waitUntilReady();
    const jobs = Array.from({ length: count }, () => {
      const taskId = randomUUID();
      const data = { taskId, epoch: 1 };
      return { name: "bulk", data, opts: { ...jobOptions(spawnQueue, data), jobId: `spawn_${taskId}_e1` } };
    });
    const from = performance.now();
    for (let at = 0; at < count; at += BATCH) await queue.addBulk(jobs.slice(at, at + BATCH));
    const ms = performance.now() - from;
    await queue.obliterate({ force: true });
    await queue.close();
    return { rate: (count / ms) * 1_000 };
  };
  const samples = await interleave(world.rounds, ours, theirs);
  const options = {
    row: "12b",
    what: `outbox relay, batches of ${BATCH}`,
    reference: "addBulk alone",
    unit: "rows/s",
    target: { atLeast: 0.8 },
    wrong: [...wrong],
    reason:
      "claiming and marking a batch in PostgreSQL comes before and after the same addBulk, not in parallel with it",
  };
  return toScoreLine(options, pickFigure(samples.ours, "rate"), pickFigure(samples.theirs, "rate"));
}

const SEED_HINTS = `
  insert into outbox (tenant_id, operator_id, task_id, topic, dedup_key, payload)
  select 'acme', 'ada', id, 'spawn', 'spawn/' || id, jsonb_build_object('taskId', id, 'epoch', 1)
  from (select gen_random_uuid() as id from generate_series(1, $1::int)) as made`;
