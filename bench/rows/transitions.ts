/** Rows 1, 1b, 1c: durable transitions (compare-and-set, audit chain, outbox; row security on), many in parallel and one alone. */
import { randomUUID } from "node:crypto";
import { Pool } from "pg";
import { ciQueue } from "../../queues/ci.ts";
import type { Task } from "../../src/domain/task/task.ts";
import { createHint } from "../../src/store/outbox.ts";
import type { Store } from "../../src/store/store.ts";
import type { Transition } from "../../src/store/transitions.ts";
import { toScoreLine, type ScoreLine } from "../line.ts";
import { pickFigure, interleave, computePercentiles } from "../rounds.ts";
import type { BenchRow } from "../row.ts";
import { runConcurrently, seedTasks, openBenchStore } from "../seed.ts";
import type { Database, BenchWorld } from "../world.ts";
import { SYSTEM } from "../../src/store/principal.ts";

/** More connections do not make the five statements faster on two cores. */
const NAIVE_CONNECTIONS = 16;

export const transitionsRow: BenchRow = {
  rows: ["1", "1b", "1c"],
  what: "durable transitions",
  async measure(world) {
    const database = await world.database();
    const store = openBenchStore(world, database);
    const naive = openNaivePool(world, database);
    return [
      ...(await measureConcurrent(world, { database, store, naive })),
      ...(await measureSingle(world, database, store)),
      await measureRowSecurity(world, database, store),
    ];
  },
};

interface Contenders {
  readonly database: Database;
  readonly store: Store;
  readonly naive: Pool;
}

async function measureConcurrent(world: BenchWorld, { database, store, naive }: Contenders): Promise<ScoreLine[]> {
  const count = world.size(1_000, 200);
  const lines: ScoreLine[] = [];
  for (const callers of [32, 100]) {
    const wrong = new Set<string>();
    const run = async (transition: (task: Task) => Promise<unknown>) => {
      const tasks = await seedTasks(database, store, { count, status: "pr_created" });
      const ms = await runConcurrently(callers, tasks, transition);
      for (const one of await checkTransitioned(database, tasks)) wrong.add(one);
      return { rate: (count / ms) * 1_000 };
    };
    await run((task) => store.transitions.transition(SYSTEM, toReviewing(task)));
    const samples = await interleave(
      world.rounds,
      () => run((task) => store.transitions.transition(SYSTEM, toReviewing(task))),
      () => run((task) => transitionNaively(naive, task)),
    );
    const options = {
      row: "1",
      what: `durable transitions, ${callers} callers`,
      reference: "BEGIN … five statements … COMMIT",
      unit: "/s",
      target: { atLeast: 4 },
      wrong: [...wrong],
      reason: "bound by PostgreSQL's own work per row (guard trigger, hash, five indexes), which the reference shares",
    };
    lines.push(toScoreLine(options, pickFigure(samples.ours, "rate"), pickFigure(samples.theirs, "rate")));
  }
  return lines;
}

async function measureSingle(world: BenchWorld, database: Database, store: Store): Promise<ScoreLine[]> {
  const count = world.size(100, 30);
  await database.query("create table bench_rows (id uuid primary key, task_id uuid not null, detail jsonb not null)");
  const pool = new Pool({ connectionString: database.url, max: 1 }).on("error", () => undefined);
  world.defer(() => pool.end());
  const times = async (work: (task: Task) => Promise<unknown>) => {
    const tasks = await seedTasks(database, store, { count, status: "pr_created" });
    const taken: number[] = [];
    for (const task of tasks) {
      const from = performance.now();
      await work(task);
      taken.push(performance.now() - from);
    }
    return computePercentiles(taken);
  };
  const insert = "insert into bench_rows (id, task_id, detail) values ($1, $2, $3)";
  const samples = await interleave(
    world.rounds,
    () => times((task) => store.transitions.transition(SYSTEM, toReviewing(task))),
    () => times((task) => pool.query(insert, [randomUUID(), task.id, JSON.stringify({ from: task.status })])),
  );
  const options = {
    row: "1b",
    reference: "one-row insert",
    unit: "ms",
    reason: "four tables and a dozen index entries against one of each; the commit's fsync is shared by both",
  };
  return (
    [
      ["p50", 1.7],
      ["p99", 2.5],
    ] as const
  ).map(([name, atMost]) =>
    toScoreLine(
      { ...options, what: `one transition alone, ${name}`, target: { atMost } },
      pickFigure(samples.ours, name),
      pickFigure(samples.theirs, name),
    ),
  );
}

async function measureRowSecurity(world: BenchWorld, database: Database, store: Store): Promise<ScoreLine> {
  const count = world.size(1_000, 200);
  const open = await world.database();
  const tables = await open.query("select oid::regclass::text as name from pg_class where relrowsecurity");
  for (const { name } of tables) await open.query(`alter table ${String(name)} disable row level security`);
  const openly = openBenchStore(world, open);
  const run = async (on: Database, through: Store) => {
    const tasks = await seedTasks(on, through, { count, status: "pr_created" });
    const ms = await runConcurrently(32, tasks, (task) => through.transitions.transition(SYSTEM, toReviewing(task)));
    return { rate: (count / ms) * 1_000 };
  };
  const samples = await interleave(
    world.rounds,
    () => run(database, store),
    () => run(open, openly),
  );
  const options = {
    row: "1c",
    what: "transitions with row security, 32 callers",
    reference: "the same without",
    unit: "/s",
    target: { atLeast: 0.93 },
  };
  return toScoreLine(options, pickFigure(samples.ours, "rate"), pickFigure(samples.theirs, "rate"));
}

/** A state change with its audit entry, one hint and one event. */
export function toReviewing(task: Task): Transition {
  return {
    task,
    to: "reviewing",
    actor: "bench",
    action: "task.reviewing",
    detail: { headSha: "0".repeat(40) },
    hints: [createHint(ciQueue, { taskId: task.id, epoch: task.epoch + 1 })],
    events: [{ id: randomUUID(), type: "fleet.task.state", data: { taskId: task.id, to: "reviewing" } }],
  };
}

function openNaivePool(world: BenchWorld, { url }: Database): Pool {
  const pool = new Pool({ connectionString: url, max: NAIVE_CONNECTIONS }).on("error", () => undefined);
  world.defer(() => pool.end());
  return pool;
}

/** The same rows through the same guards, one statement after another, as most code would do it. */
async function transitionNaively(pool: Pool, task: Task): Promise<void> {
  const client = await pool.connect();
  const transition = toReviewing(task);
  const detail = JSON.stringify({ from: task.status, to: "reviewing", attempt: task.attempt, ...transition.detail });
  try {
    await client.query("begin");
    await client.query("select fleet_enter($1::jsonb)", [JSON.stringify(SYSTEM)]);
    const { rows } = await client.query<{ audit_seq: number }>(
      "select audit_seq from fleet_tasks where id = $1 and version = $2 and status = $3 for update",
      [task.id, task.version, task.status],
    );
    const seq = (rows[0]?.audit_seq ?? 0) + 1;
    await client.query(
      `update fleet_tasks set status = 'reviewing', version = version + 1, epoch = epoch + 1, audit_seq = audit_seq + 1,
         audit_head = fleet_audit_hash(audit_head, audit_seq + 1, now(), $2, $3, $4::jsonb), updated_at = now()
       where id = $1`,
      [task.id, transition.actor, transition.action, detail],
    );
    await client.query(
      `insert into audit_log (tenant_id, operator_id, chain, seq, task_id, actor, action, detail, hash)
       select tenant_id, operator_id, 'task:' || id, $2, id, $3, $4, $5::jsonb, audit_head from fleet_tasks where id = $1`,
      [task.id, seq, transition.actor, transition.action, detail],
    );
    const [first] = transition.hints ?? [];
    await client.query(
      `insert into outbox (tenant_id, operator_id, task_id, topic, dedup_key, payload, processed_at)
       values ($1, $2, $3, $4, $5, $6::jsonb, null), ($1, $2, $3, 'event', $7, $8::jsonb, now())`,
      [
        task.tenantId,
        task.operatorId,
        task.id,
        first?.topic,
        first?.dedupKey,
        JSON.stringify(first?.payload),
        `event_${randomUUID()}`,
        JSON.stringify(transition.events?.[0]),
      ],
    );
    await client.query("commit");
  } finally {
    client.release();
  }
}

/** Checks that each task moved once, with one entry in its chain and two outbox rows. */
export async function checkTransitioned(database: Database, tasks: readonly Task[]): Promise<string[]> {
  const ids = tasks.map(({ id }) => id);
  const [counted] = await database.query(
    `select (select count(*)::int from fleet_tasks where id = any($1) and status = 'reviewing' and version = 4 and audit_seq = 1) as moved,
       (select count(*)::int from audit_log a join fleet_tasks t on t.id = a.task_id
          where t.id = any($1) and a.hash = t.audit_head) as audited,
       (select count(*)::int from outbox where task_id = any($1)) as published`,
    [ids],
  );
  const expected = { moved: tasks.length, audited: tasks.length, published: 2 * tasks.length };
  return Object.entries(expected)
    .filter(([name, count]) => counted?.[name] !== count)
    .map(([name, count]) => `${String(counted?.[name])} ${name}, not ${count}`);
}
