/** Row 2: durable jobs through Redis: a job is claimed, its processor moves a task, and the move is committed. */
import { randomUUID } from "node:crypto";
import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import { spawnQueue } from "../../queues/spawn.ts";
import { TaskJob } from "../../queues/task-job.ts";
import { openBroker } from "../../src/broker/broker.ts";
import type { Task } from "../../src/domain/task/task.ts";
import type { Store } from "../../src/store/store.ts";
import { toScoreLine, type ScoreLine } from "../line.ts";
import { pickFigure, interleave, type Figures } from "../rounds.ts";
import type { BenchRow } from "../row.ts";
import { seedTasks, openBenchStore } from "../seed.ts";
import type { BenchWorld } from "../world.ts";
import { checkTransitioned, toReviewing } from "./transitions.ts";
import { SYSTEM } from "../../src/store/principal.ts";

export const jobsRow: BenchRow = {
  rows: ["2"],
  what: "durable jobs through Redis",
  async measure(world) {
    const database = await world.database();
    const store = openBenchStore(world, database);
    const lines: ScoreLine[] = [];
    for (const concurrency of [32, 100]) {
      const count = world.size(2_000, 300);
      const wrong = new Set<string>();
      const ours = async () => {
        const tasks = await seedTasks(database, store, { count, status: "pr_created" });
        const figures = await runDurable(world, store, tasks, concurrency);
        for (const one of await checkTransitioned(database, tasks)) wrong.add(one);
        return figures;
      };
      const samples = await interleave(world.rounds, ours, () => runBare(world, count, concurrency));
      lines.push(
        toScoreLine(
          {
            row: "2",
            what: `durable jobs, concurrency ${concurrency}`,
            reference: "bare BullMQ no-op",
            unit: "/s",
            target: { atLeast: 0.4 },
            wrong: [...wrong],
            reason: REASON,
          },
          pickFigure(samples.ours, "rate"),
          pickFigure(samples.theirs, "rate"),
        ),
      );
    }
    return lines;
  },
};

const REASON =
  "the transition itself bounds it (see row 1), on the cores that Redis and PostgreSQL share with the worker";

async function runDurable(
  world: BenchWorld,
  store: Store,
  tasks: readonly Task[],
  concurrency: number,
): Promise<Figures> {
  const known = new Map(tasks.map((task) => [task.id, task]));
  const prefix = `d${randomUUID().slice(-8)}`;
  const broker = await openBroker({ redisUrl: world.redisUrl, databaseUrl: "", prefix, onError: () => undefined });
  await broker.addJobs(tasks.map(({ id, epoch }) => ({ queue: spawnQueue, payload: { taskId: id, epoch } })));
  let done = 0;
  const ms = await timeUntil(async (finished) => {
    await broker.consume(
      spawnQueue,
      async (data) => {
        const task = known.get(TaskJob.parse(data).taskId);
        if (task) await store.transitions.transition(SYSTEM, toReviewing(task));
        done += 1;
        if (done === tasks.length) finished();
      },
      { concurrency },
    );
  });
  await broker.close();
  return { rate: (tasks.length / ms) * 1_000 };
}

/** The same jobs with the same options, and a processor that does nothing. */
async function runBare(world: BenchWorld, count: number, concurrency: number): Promise<Figures> {
  const prefix = `n${randomUUID().slice(-8)}`;
  const connection = new Redis(world.redisUrl, { maxRetriesPerRequest: null });
  const queue = new Queue("bare", { connection, prefix });
  const opts = { removeOnComplete: { count: 1_000, age: 3_600 }, removeOnFail: { count: 5_000, age: 86_400 } };
  const jobs = Array.from({ length: count }, () => {
    const taskId = randomUUID();
    return { name: "bare", data: { taskId, epoch: 3 }, opts: { ...opts, jobId: `bare_${taskId}_e3` } };
  });
  await queue.addBulk(jobs);
  let done = 0;
  let worker: Worker | undefined;
  const ms = await timeUntil(async (finished) => {
    const answer = async () => {
      done += 1;
      if (done === count) finished();
    };
    worker = new Worker("bare", answer, { connection, prefix, concurrency });
    await worker.waitUntilReady();
  });
  await worker?.close();
  await queue.close();
  connection.disconnect();
  return { rate: (count / ms) * 1_000 };
}

function timeUntil(work: (finished: () => void) => Promise<unknown>): Promise<number> {
  const from = performance.now();
  return new Promise((resolve, reject) => {
    work(() => resolve(performance.now() - from)).catch(reject);
  });
}
