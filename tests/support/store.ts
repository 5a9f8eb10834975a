/**
 * A store over a separate database, and what most tests of it need: operators, admitted tasks, tasks in any status.
 */
import { randomUUID } from "node:crypto";
import { Client, escapeLiteral } from "pg";
import type { Operator } from "../../src/domain/operator.ts";
import { SLOT_HOLDING_STATUSES, type Task, type TaskStatus, TERMINAL_STATUSES } from "../../src/domain/task/task.ts";
import { upsertOperator } from "../../src/store/operators.ts";
import { openStore, type Store } from "../../src/store/store.ts";
import { admitTask, getTask, type Admission, type NewTask } from "../../src/store/tasks.ts";
import { aHint, aNewTask, anEvent, anOperator } from "./builders.ts";
import { testDatabase, type TestDatabase } from "./database.ts";

export interface TestStore extends AsyncDisposable {
  readonly url: string;
  readonly store: Store;
  /** As the superuser, bypassing row security. */
  readonly query: TestDatabase["query"];
  /** A second store over the same database, as a second process has; closed with this one. */
  another(maxConnections?: number): Store;
  /** A separate connection of the superuser, for transactions that stay open. */
  client(): Promise<Client>;
  operator(operator?: Partial<Operator>): Promise<Operator>;
  admit(operator: Operator, task?: Partial<NewTask>, limit?: number): Promise<Admission>;
  /** Admitted, then set to `status`; its slot is released when that status holds none. */
  task(operator: Operator, status?: TaskStatus, columns?: Readonly<Record<string, unknown>>): Promise<Task>;
  /** Many of them, with fewer statements. */
  tasks(operator: Operator, count: number, status?: TaskStatus): Promise<Task[]>;
  read(id: string): Promise<Task>;
}

export async function testStore({ maxConnections = 10 } = {}): Promise<TestStore> {
  const database = await testDatabase();
  const stores: Store[] = [];
  const clients: Client[] = [];
  const openAnother = (connections = maxConnections) => {
    const store = openStore({
      url: database.url,
      maxConnections: connections,
      statementTimeoutMs: 30_000,
      onLostConnection: () => {},
    });
    stores.push(store);
    return store;
  };
  const store = openAnother();
  const read = (id: string) => store.asSystem((tx) => getTask(tx, id));

  async function admit(operator: Operator, task: Partial<NewTask> = {}, limit = 1_000_000): Promise<Admission> {
    const newTask = aNewTask(operator, task);
    const hints = [aHint({ id: newTask.id, epoch: 0 })];
    return store.asSystem((tx) => admitTask(tx, newTask, { limit, hints, event: anEvent() }));
  }

  return {
    url: database.url,
    store,
    query: (text, values) => database.query(text, values),
    another: openAnother,
    async client() {
      const client = new Client({ connectionString: database.url });
      client.on("error", () => {});
      await client.connect();
      clients.push(client);
      return client;
    },
    async operator(operator = {}) {
      const made = anOperator(operator);
      await store.asSystem((tx) => upsertOperator(tx, made));
      return made;
    },
    admit,
    async task(operator, status = "proposed", columns = {}) {
      const { taskId } = await admit(operator);
      if (!taskId) throw new Error("The task was not admitted.");
      await forceStatus(database, [taskId], status, columns);
      return read(taskId);
    },
    tasks: (operator, count, status = "proposed") => manyTasks(store, database, { operator, count, status }),
    read,
    async [Symbol.asyncDispose]() {
      await Promise.all(clients.map((client) => client.end().catch(() => {})));
      await Promise.all(stores.map((one) => one.close()));
      await database[Symbol.asyncDispose]();
    },
  };
}

/** Sets the status of the row directly, bypassing the triggers that check transitions and release slots. */
export async function manyTasks(
  store: Store,
  database: TestDatabase,
  { operator, count, status }: { operator: Operator; count: number; status: TaskStatus },
): Promise<Task[]> {
  const ids = await store.asSystem(async (tx) => {
    const made: string[] = [];
    for (let n = 0; n < count; n += 1) {
      const { taskId } = await admitTask(tx, aNewTask(operator), { limit: 1_000_000, hints: [], event: anEvent() });
      if (taskId) made.push(taskId);
    }
    return made;
  });
  await forceStatus(database, ids, status, {});
  return store.asSystem(async (tx) => {
    const tasks: Task[] = [];
    for (const id of ids) tasks.push(await getTask(tx, id));
    return tasks;
  });
}

/** Sets the statuses of the rows directly, bypassing the triggers that check transitions and release slots. */
export async function forceStatus(
  { query }: Pick<TestDatabase, "query">,
  ids: readonly string[],
  status: TaskStatus,
  columns: Readonly<Record<string, unknown>>,
): Promise<void> {
  const ended = TERMINAL_STATUSES.includes(status);
  const started = status !== "proposed";
  const all = {
    status,
    ...(ended ? { completed_at: new Date() } : {}),
    ...(started ? { attempt: 1, dispatch_id: randomUUID(), host: "host-1" } : {}),
    ...columns,
  };
  const idList = ids.map((id) => literal(id)).join(", ");
  const sets = Object.entries(all).map(([column, value]) => `${column} = ${literal(value)}`);
  const holds = SLOT_HOLDING_STATUSES.some((holding) => holding === status);
  // Like a replica, this bypasses the triggers that check transitions and release slots.
  await query(`begin; set local session_replication_role = replica;
    update fleet_tasks set ${sets.join(", ")} where id in (${idList});
    update slots set active = active - ${holds ? 0 : ids.length}
      where operator_id = (select operator_id from fleet_tasks where id in (${idList}) limit 1);
    commit`);
}

function literal(value: unknown): string {
  if (value === null) return "null";
  return escapeLiteral(
    value instanceof Date ? value.toISOString() : typeof value === "string" ? value : JSON.stringify(value),
  );
}
