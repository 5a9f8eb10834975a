/** Inserts rows in bulk: tasks as if they had reached their state, and the last observations of their agents. */
import type { Operator } from "../src/domain/operator.ts";
import type { Task, TaskStatus } from "../src/domain/task/task.ts";
import { upsertOperator } from "../src/store/operators.ts";
import { openStore, type Store } from "../src/store/store.ts";
import { listTasks } from "../src/store/tasks.ts";
import type { Database, BenchWorld } from "./world.ts";

export const HOST = "bench";
export const OPERATOR: Operator = { id: "ada", tenantId: "acme", tier: "sovereign", role: "admin" };

export function openBenchStore(world: BenchWorld, { url }: Database, maxConnections = 10): Store {
  const store = openStore({ url, maxConnections, statementTimeoutMs: 30_000, onLostConnection: () => undefined });
  world.defer(() => store.close());
  return store;
}

export interface SeedOptions {
  readonly count: number;
  readonly status: TaskStatus;
  readonly repository?: string;
  /** Also inserts one healthy observation of each agent, just now. */
  readonly withFacts?: boolean;
}

/** Inserts the rows without guards and slot counters; returns them. */
export async function seedTasks(database: Database, store: Store, options: SeedOptions): Promise<Task[]> {
  const { count, status, repository = "/srv/git/shop.git", withFacts = false } = options;
  await store.asSystem((tx) => upsertOperator(tx, OPERATOR));
  const values = [count, status, repository, OPERATOR.tenantId, OPERATOR.id, HOST];
  await database.query(SEED_TASKS, values);
  if (withFacts) await database.query(SEED_FACTS, [HOST]);
  await database.query("analyze fleet_tasks");
  return store.asSystem((tx) => listTasks(tx, { statuses: [status], limit: count }));
}

/** The setting holds for the statement's transaction: it is evaluated before the first row is written. */
const SEED_TASKS = `
  with past as materialized (select set_config('session_replication_role', 'replica', true)),
  made as materialized (select uuidv7() as id, n from past, generate_series(1, $1::int) as n)
  insert into fleet_tasks (id, tenant_id, operator_id, agent_type, task_type, title, description, repository, base_branch,
    branch, status, host, attempt, dispatch_id, version, epoch, spawned_at, tmux_session)
  select id, $4, $5, 'stub', 'feature', 'Make change ' || n, repeat('Do this and that with care. ', 10), $3, 'main',
    'fleet/' || right(id::text, 8) || '-change', $2, $6, 1, gen_random_uuid(), 3, 3, now(), 'fleet-' || right(id::text, 8)
  from made`;

const SEED_FACTS = `
  insert into heartbeats (task_id, tenant_id, operator_id, attempt, dispatch_id, host, pane, process, pid, heartbeat_at,
    heartbeat_status, out_bytes, cpu_ms, last_output_at)
  select id, tenant_id, operator_id, attempt, dispatch_id, $1, 'alive', 'alive', 4242, now(), 'busy', 1000, 1000, now()
  from fleet_tasks where host = $1 on conflict (task_id) do nothing`;

/** Runs work with this many callers, each starting the next item as soon as its last one is done. */
export async function runConcurrently<Item>(
  callers: number,
  items: readonly Item[],
  work: (item: Item) => Promise<unknown>,
): Promise<number> {
  let next = 0;
  const from = performance.now();
  const call = async () => {
    for (let at = next++; at < items.length; at = next++) {
      const item = items[at];
      if (item !== undefined) await work(item);
    }
  };
  await Promise.all(Array.from({ length: callers }, call));
  return performance.now() - from;
}
