/** The schema, forwards and backwards: numbered plain SQL files, each in its own transaction, one runner at a time. */
import { readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { PG_MIGRATE_LOCK_ID, runner } from "node-pg-migrate";
import { Client, DatabaseError } from "pg";
import { FleetError, messageOf } from "../domain/errors.ts";

const MIGRATIONS_TABLE = "fleet_migrations";
const MIGRATIONS_DIR = fileURLToPath(new URL("./migrations", import.meta.url));
const FILE_NAME = /^(\d{4}_[a-z0-9_]+)\.(up|down)\.sql$/;

const noop = () => {};
const SILENT_LOGGER = { info: noop, warn: noop, error: noop };

export interface MigrateOptions {
  /** Told about each migration, in a sentence. Nothing is printed otherwise. */
  readonly log?: (message: string) => void;
  /** Another folder than ours. */
  readonly dir?: string;
}

/** Applies what is not applied yet, in order, and returns their names. A second runner waits for the first. */
export async function migrateUp(databaseUrl: string, options: MigrateOptions = {}): Promise<string[]> {
  return withMigrationLock(databaseUrl, options, async ({ client, dir, log }) => {
    const files = await listMigrationFiles(dir);
    const applied = await readAppliedMigrations(client);
    assertKnownMigrations(applied, files);

    const pending = files.filter((name) => !applied.includes(name));
    for (const name of pending) await runMigration({ client, dir, log }, name, "up");
    return pending;
  });
}

/** Reverts the last migration, or all after `to` (which stays); `to` "0000" reverts everything. Returns their names. */
export async function migrateDown(databaseUrl: string, to?: string, options: MigrateOptions = {}): Promise<string[]> {
  return withMigrationLock(databaseUrl, options, async ({ client, dir, log }) => {
    const files = await listMigrationFiles(dir);
    const applied = await readAppliedMigrations(client);
    assertKnownMigrations(applied, files);
    const keepCount =
      to === undefined ? applied.length - 1 : applied.filter((name) => name.slice(0, 4) <= to.slice(0, 4)).length;

    const undone = applied.slice(Math.max(0, keepCount)).toReversed();
    for (const name of undone) await runMigration({ client, dir, log }, name, "down");
    return undone;
  });
}

/** What `migrateUp` would apply. Changes nothing, not even when the database is empty. */
export async function listPendingMigrations(databaseUrl: string, options: MigrateOptions = {}): Promise<string[]> {
  const files = await listMigrationFiles(options.dir ?? MIGRATIONS_DIR);
  const client = await connect(databaseUrl);
  try {
    const applied = await readAppliedMigrations(client);
    return files.filter((name) => !applied.includes(name));
  } finally {
    await client.end();
  }
}

/** The migrations that this Fleetwright has. */
export async function listKnownMigrations(): Promise<string[]> {
  return listMigrationFiles(MIGRATIONS_DIR);
}

interface MigrationContext {
  readonly client: Client;
  readonly dir: string;
  readonly log: (message: string) => void;
}

async function withMigrationLock(
  databaseUrl: string,
  { log = () => {}, dir = MIGRATIONS_DIR }: MigrateOptions,
  work: (run: MigrationContext) => Promise<string[]>,
): Promise<string[]> {
  const client = await connect(databaseUrl);
  try {
    // The library's own lock, taken around the whole run: session locks nest, so it takes it again for each step.
    const { rows } = await client.query(`select pg_try_advisory_lock(${PG_MIGRATE_LOCK_ID}) as mine`);
    if (rows[0].mine !== true) {
      log("Another migration is running; waiting for it to end.");
      await client.query(`select pg_advisory_lock(${PG_MIGRATE_LOCK_ID})`);
    }
    return await work({ client, dir, log });
  } finally {
    await client.end(); // also releases the lock
  }
}

async function runMigration(
  { client, dir, log }: MigrationContext,
  name: string,
  direction: "up" | "down",
): Promise<void> {
  const startedAt = performance.now();
  try {
    await runner({
      dbClient: client,
      dir,
      direction,
      file: name,
      count: 1,
      migrationsTable: MIGRATIONS_TABLE,
      singleTransaction: false, // so that each migration is a transaction of its own
      advisoryLockMode: "wait",
      migrationLoaderStrategies: [{ extensions: [".sql"], loader: "sql" }],
      logger: SILENT_LOGGER,
    });
  } catch (cause) {
    throw migrationError(`${name}.${direction}.sql`, cause);
  }
  log(`Migration ${name} ${direction}: done in ${Math.round(performance.now() - startedAt)} ms.`);
}

function migrationError(file: string, cause: unknown): FleetError {
  const reason = messageOf(cause);
  const about = cause instanceof DatabaseError && cause.where ? ` (${cause.where.split("\n")[0]})` : "";
  return new FleetError(
    "database-unusable",
    `Migration ${file} failed and was rolled back: ${reason}${about}. Nothing after it was run.`,
    { file },
    cause,
  );
}

async function connect(databaseUrl: string): Promise<Client> {
  const client = new Client({ connectionString: databaseUrl, application_name: "fleet-migrate" });
  client.on("error", () => {}); // a cut connection also fails the statement that is under way
  try {
    await client.connect();
    await client.query("set statement_timeout = 0; set idle_in_transaction_session_timeout = 0");
    return client;
  } catch (cause) {
    await client.end().catch(() => {});
    const reason = cause instanceof Error ? cause.message || cause.name : String(cause);
    throw new FleetError(
      "database-unavailable",
      `PostgreSQL cannot be reached for migrations: ${reason}. Check DATABASE_URL, and that the server runs.`,
      {},
      cause,
    );
  }
}

async function readAppliedMigrations(client: Client): Promise<string[]> {
  const { rows: found } = await client.query("select to_regclass($1) as table", [`public.${MIGRATIONS_TABLE}`]);
  if (found[0].table === null) return [];
  const { rows } = await client.query<{ name: string }>(`select name from public.${MIGRATIONS_TABLE} order by name`);
  return rows.map(({ name }) => name);
}

/** Names of the migrations, in order. Each must have both files: without its down file the library would run the up file again. */
async function listMigrationFiles(dir: string): Promise<string[]> {
  const files = (await readdir(dir).catch(() => [])).filter((file) => file.endsWith(".sql")).toSorted();
  const found = new Map<string, Set<string>>();
  for (const file of files) {
    const [, name, direction] = FILE_NAME.exec(file) ?? [];
    if (!name || !direction) throw new FleetError("database-unusable", misnamedMessage(file), { file });
    found.set(name, (found.get(name) ?? new Set()).add(direction));
  }
  for (const [name, directions] of found) {
    if (directions.size === 2) continue;
    const missing = `${name}.${directions.has("up") ? "down" : "up"}.sql`;
    throw new FleetError("database-unusable", `Migration file ${missing} is missing.`, { file: missing });
  }
  return [...found.keys()];
}

function misnamedMessage(file: string): string {
  return `Migration file ${file} is not named like 0001_words.up.sql or 0001_words.down.sql.`;
}

function assertKnownMigrations(applied: readonly string[], files: readonly string[]): void {
  const unknown = applied.filter((name) => !files.includes(name));
  if (unknown.length === 0) return;
  const sentence =
    `The database has migrations that this Fleetwright does not know (${unknown.join(", ")}): ` +
    `it was migrated by a newer one. Use that version here, or revert them with it: fleet migrate --down.`;
  throw new FleetError("database-unusable", sentence, { unknown });
}
