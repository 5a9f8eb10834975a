/**
 * BullMQ on PostgreSQL, in a schema of its own next to our tables. All queues and workers of a process share one small pool
 * and one listening connection, because BullMQ by default opens a pool of ten and a listener for each of them.
 */
import {
  PostgresConnection,
  PostgresQueueBackend,
  Queue,
  runMigrations,
  SchemaMigrationRequiredError,
  Worker,
  type BackendFactory,
  type PostgresConnectionOptions,
  type PostgresPoolConfig,
} from "bullmq";
import { EventEmitter } from "node:events";
import { Client } from "pg";
import { FleetError } from "../domain/errors.ts";
import { MAX_EVENTS, type Backend } from "./contract.ts";
import { settlesWithin, withTimeout } from "../domain/abort.ts";

type PgListenClient = Awaited<ReturnType<PostgresConnection["getListenClient"]>>;

interface PostgresOptions {
  readonly url: string;
  readonly prefix: string;
  readonly onError: (error: Error) => void;
}

/** Ten connections finished no more no-op jobs per second than four on two cores (500 to 1,000 either way); with the listener, a process takes five. */
const POOL_SIZE = 4;
const OPEN_TIMEOUT_MS = 10_000;
const CLOSE_TIMEOUT_MS = 2_000;
/** BullMQ's default of 15 s is how long a worker sleeps after a refused connection, which is too long to recover within 10 s. */
const RETRY_DELAY_MS = 1_000;

/** Creates or upgrades the queues' schema, once per deploy, with the same login as the processes, because it becomes the owner. */
export async function migrateQueueBackend(databaseUrl: string, prefix: string): Promise<void> {
  const client = new Client({ connectionString: databaseUrl, application_name: "fleet-migrate-queues" });
  client.on("error", () => {}); // a lost connection also fails the running statement, which reports it
  try {
    await client.connect();
    await runMigrations(client, schemaName(prefix));
  } catch (cause) {
    throw toQueueError(cause);
  } finally {
    await client.end().catch(() => {});
  }
}

export async function openPostgresBackend({ url, prefix, onError }: PostgresOptions): Promise<Backend> {
  const connection = new SharedConnection(poolConfig(url, prefix));
  connection.on("error", onError);
  try {
    await withTimeout(OPEN_TIMEOUT_MS, connection.waitUntilReady());
  } catch (cause) {
    await settlesWithin(CLOSE_TIMEOUT_MS, connection.end());
    throw toQueueError(cause);
  }

  const shared: BackendFactory<PostgresQueueBackend, PostgresConnectionOptions> = (name, options) =>
    new PostgresQueueBackend(connection, name, options);
  const base = { connection: {} }; // required by BullMQ's types, not used by our factory
  const streams = { events: { maxLen: MAX_EVENTS } };

  return {
    name: "postgres",
    databaseConnections: POOL_SIZE + 1,
    openQueue: (name) => asQueue(new Queue(name, { ...base, streams }, shared).on("error", onError)),
    openWorker: (name, processor, settings) => {
      const options = { ...settings, ...base, runRetryDelay: RETRY_DELAY_MS };
      return asWorker(new Worker(name, processor, options, shared).on("error", onError));
    },
    runExclusive: (work) => connection.runExclusive(work),
    memoryPressure: async () => 0,
    close: async () => void (await settlesWithin(CLOSE_TIMEOUT_MS, connection.end())),
  };
}

/** BullMQ's types separate the backends although only the type of their connection differs; these two functions drop that type. */
function asQueue(queue: object): Queue {
  if (queue instanceof Queue) return queue;
  throw new Error("That is no queue.");
}

function asWorker(worker: object): Worker {
  if (worker instanceof Worker) return worker;
  throw new Error("That is no worker.");
}

/** A connection that many queues and workers share: their own close calls do nothing, only `end` closes it. */
class SharedConnection extends PostgresConnection {
  #turn: Promise<unknown> = Promise.resolve();
  #listener: PgListenClient | undefined;

  constructor(config: PostgresPoolConfig) {
    super(config);
    this.setMaxListeners(0);
  }

  override async getListenClient(): Promise<PgListenClient> {
    const client = await super.getListenClient();
    if (!(client instanceof EventEmitter) || this.#listener === client) return client;
    this.#listener = client;
    client.setMaxListeners(0); // there is one listener for each worker
    serializeQueries(client);
    return client;
  }

  override async close(): Promise<void> {}

  async end(): Promise<void> {
    await super.close();
  }

  /** One at a time in this process, so that waiting for other processes takes one connection of the pool, not all. */
  runExclusive<Result>(work: () => Promise<Result>): Promise<Result> {
    const mine = this.#turn.then(() => this.#locked(work));
    this.#turn = mine.catch(() => {});
    return mine;
  }

  async #locked<Result>(work: () => Promise<Result>): Promise<Result> {
    const client = await this.pool.connect();
    let broken = true;
    try {
      await client.query("begin");
      await client.query("select pg_advisory_xact_lock(hashtext($1))", [`${this.schema} schedulers`]);
      const result = await work();
      await client.query("commit");
      broken = false;
      return result;
    } finally {
      client.release(broken); // destroying the connection also releases the lock
    }
  }
}

/** Each worker sends LISTEN on the shared connection, and pg does not accept a second query before the first has ended. */
function serializeQueries(client: PgListenClient): void {
  const query = client.query.bind(client);
  let tail: Promise<unknown> = Promise.resolve();
  client.query = (text, params) => {
    const result = tail.then(() => query<never>(text, params));
    tail = result.catch(() => {});
    return result;
  };
}

function poolConfig(url: string, prefix: string): PostgresPoolConfig {
  return {
    connectionString: url,
    schema: schemaName(prefix),
    max: POOL_SIZE,
    idleTimeoutMillis: 30_000,
    connectionTimeoutMillis: OPEN_TIMEOUT_MS,
    statement_timeout: 30_000,
    keepAlive: true,
    application_name: "fleet-queues",
    // A job is a hint that the reconciler repeats, so losing the last moments before a crash of PostgreSQL is acceptable, and
    // an idle fleet writes nothing to disk for its queues.
    options: "-c synchronous_commit=off",
  };
}

function schemaName(prefix: string): string {
  return `${prefix.replaceAll(/[^A-Za-z0-9_]/g, "_").replace(/^(?=\d)/, "_")}_queues`.slice(-63);
}

function toQueueError(cause: unknown): FleetError {
  if (cause instanceof FleetError) return cause;
  const reason = cause instanceof Error ? cause.message || cause.name : String(cause);
  if (cause instanceof SchemaMigrationRequiredError) {
    const sentence = "The queues' tables are missing in PostgreSQL. Create them: fleet migrate.";
    return new FleetError("queue-unusable", sentence, {}, cause);
  }
  return new FleetError("queue-unavailable", `The queues in PostgreSQL cannot be reached: ${reason}.`, {}, cause);
}
