/**
 * The schema: numbered SQL files that change tables, forwards and backwards, each in its own transaction; then the SQL
 * functions, one per file, of which every changed one is created again.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Client, DatabaseError } from "pg";
import { FleetError, messageOf } from "../domain/errors.ts";
import { listMigrationFiles, readFunctionFiles, type FunctionFile } from "./migration-files.ts";

const STORE_DIR = fileURLToPath(new URL(".", import.meta.url));
/** The advisory lock of migrations: any number that no other lock has. */
const LOCK_ID = 7_241_865_325;
/** The first of the files that were replaced before the first release. */
const REPLACED_MIGRATION = "0001_roles";

export interface MigrateOptions {
  /** Receives a sentence about each step. Nothing is printed otherwise. */
  readonly log?: (message: string) => void;
  /** The folder that holds `migrations/` and `functions/`; ours by default. */
  readonly dir?: string;
}

/** Applies what is not applied yet, in order, and returns its names. A second runner waits for the first. */
export async function migrateUp(databaseUrl: string, options: MigrateOptions = {}): Promise<string[]> {
  return withMigrationLock(databaseUrl, options, async (session) => {
    const { migrations, functions } = await findPending(session);
    await session.client.query(`
      create table if not exists public.fleet_migrations
        (name text primary key, applied_at timestamptz not null default now());
      create table if not exists public.fleet_functions
        (name text primary key, sha256 text not null, applied_at timestamptz not null default now())`);
    for (const name of migrations) await runMigration(session, name, "up");
    if (functions.length > 0) await createFunctions(session, functions);
    return [...migrations, ...functions.map(({ file }) => file)];
  });
}

/**
 * Reverts the last migration, or all after `to` (which stays applied); `to` "0000" reverts everything. Returns their names.
 * Functions stay as they are until the next `migrateUp`, of whichever version, creates its own.
 */
export async function migrateDown(databaseUrl: string, to?: string, options: MigrateOptions = {}): Promise<string[]> {
  return withMigrationLock(databaseUrl, options, async (session) => {
    const { applied } = await findPending(session);
    const stays = to === undefined ? applied.length - 1 : applied.filter((name) => name.slice(0, 4) <= to).length;
    const reverted = applied.slice(Math.max(0, stays)).toReversed();
    for (const name of reverted) await runMigration(session, name, "down");
    return reverted;
  });
}

/** The names of what `migrateUp` would apply. Changes nothing, not even when the database is empty. */
export async function listPendingMigrations(databaseUrl: string, options: MigrateOptions = {}): Promise<string[]> {
  const client = await connect(databaseUrl);
  try {
    const { migrations, functions } = await findPending({ client, dir: options.dir ?? STORE_DIR });
    return [...migrations, ...functions.map(({ file }) => file)];
  } finally {
    await client.end();
  }
}

/** The migrations that this Fleetwright has. */
export async function listKnownMigrations(): Promise<string[]> {
  return listMigrationFiles(STORE_DIR);
}

interface Session {
  readonly client: Client;
  readonly dir: string;
  readonly log: (message: string) => void;
}

/** A session lock, because each migration is a transaction of its own. */
async function withMigrationLock(
  databaseUrl: string,
  { log = () => {}, dir = STORE_DIR }: MigrateOptions,
  work: (session: Session) => Promise<string[]>,
): Promise<string[]> {
  const client = await connect(databaseUrl);
  try {
    const { rows } = await client.query("select pg_try_advisory_lock($1) as acquired", [LOCK_ID]);
    if (rows[0].acquired !== true) {
      log("Another migration is running; waiting for it to end.");
      await client.query("select pg_advisory_lock($1)", [LOCK_ID]);
    }
    return await work({ client, dir, log });
  } finally {
    await client.end(); // also releases the lock, and rolls back the transaction of a file that failed
  }
}

async function connect(databaseUrl: string): Promise<Client> {
  const client = new Client({ connectionString: databaseUrl, application_name: "fleet-migrate" });
  client.on("error", () => {}); // a lost connection also fails the statement that is running
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

interface Pending {
  readonly applied: readonly string[];
  readonly migrations: readonly string[];
  readonly functions: readonly FunctionFile[];
}

/** Compares the files with what the database has recorded, and refuses records that do not fit the files. */
async function findPending({ client, dir }: Pick<Session, "client" | "dir">): Promise<Pending> {
  const files = await listMigrationFiles(dir);
  const applied = await readRecords(client, "fleet_migrations", "name");
  assertKnown(applied, files);
  const migrations = files.slice(applied.length);
  // Every migration forgets the functions, so all are created after it.
  const created = migrations.length > 0 ? [] : await readRecords(client, "fleet_functions", "name || ' ' || sha256");
  const functions = await readFunctionFiles(dir);
  return {
    applied,
    migrations,
    functions: functions.filter(({ file, sha256 }) => !created.includes(`${file} ${sha256}`)),
  };
}

async function readRecords(client: Client, table: string, expression: string): Promise<string[]> {
  const { rows: found } = await client.query("select to_regclass($1) as table", [`public.${table}`]);
  if (found[0].table === null) return [];
  const { rows } = await client.query<{ record: string }>(`select ${expression} as record from public.${table}`);
  return rows.map(({ record }) => record).toSorted();
}

function assertKnown(applied: readonly string[], files: readonly string[]): void {
  if (applied.includes(REPLACED_MIGRATION) && !files.includes(REPLACED_MIGRATION)) {
    const sentence =
      "A development version of Fleetwright made this database with migrations that have been replaced since " +
      `(${applied[0]} to ${applied.at(-1)}), and it cannot be upgraded. Nothing was changed. Start with an empty database: ` +
      "set DATABASE_URL or, for the embedded PostgreSQL, FLEET_HOME to a new one.";
    throw new FleetError("database-unusable", sentence, { replaced: applied });
  }
  const unknown = applied.filter((name) => !files.includes(name));
  if (unknown.length > 0) {
    const sentence =
      `The database has migrations that this Fleetwright does not know (${unknown.join(", ")}): ` +
      "a newer version migrated it. Use that version here, or revert them with it: fleet migrate --down.";
    throw new FleetError("database-unusable", sentence, { unknown });
  }
  const skipped = files.find((name, index) => index < applied.length && name !== applied[index]);
  if (skipped === undefined) return;
  const sentence = `Migration ${skipped} was not applied, but ${applied.at(-1)} after it was. Give the new file the next number.`;
  throw new FleetError("database-unusable", sentence, { skipped });
}

const RECORD = {
  up: (name: string) => `insert into public.fleet_migrations (name) values ('${name}')`,
  down: (name: string) => `delete from public.fleet_migrations where name = '${name}'`,
} as const;

/** Forgets the functions too: a table that was created again lacks the triggers that come with them. */
async function runMigration({ client, dir, log }: Session, name: string, direction: "up" | "down"): Promise<void> {
  const startedAt = performance.now();
  const file = `${name}.${direction}.sql`;
  const sql = await readFile(join(dir, "migrations", file), "utf8");
  const record = `${RECORD[direction](name)}; delete from public.fleet_functions`;
  await run(client, file, `begin;\n${sql}\n; reset role; ${record}; commit`);
  log(`Migration ${file}: done in ${Math.round(performance.now() - startedAt)} ms.`);
}

/** Functions call each other in any order, so PostgreSQL checks their bodies only once all exist. */
const CHECK_BODIES = `
  set local check_function_bodies = on;
  select case lanname when 'sql' then fmgr_sql_validator(p.oid) else plpgsql_validator(p.oid) end
  from pg_proc p join pg_language l on l.oid = prolang
  where pronamespace = 'public'::regnamespace and proowner = 'fleet_owner'::regrole and lanname in ('sql', 'plpgsql')`;

/** In one transaction, so that no process ever sees a new function with the old version of another. */
async function createFunctions({ client, log }: Session, functions: readonly FunctionFile[]): Promise<void> {
  const names = functions.map(({ file }) => file);
  await run(client, "functions", "begin; set local role fleet_owner; set local check_function_bodies = off");
  for (const { file, sql } of functions) await run(client, file, sql);
  await run(client, "functions", `${CHECK_BODIES}; reset role`);
  await client.query(
    `insert into public.fleet_functions (name, sha256) select * from unnest($1::text[], $2::text[])
     on conflict (name) do update set sha256 = excluded.sha256, applied_at = now()`,
    [names, functions.map(({ sha256 }) => sha256)],
  );
  await client.query("commit");
  log(`SQL functions created: ${names.join(", ")}.`);
}

async function run(client: Client, file: string, sql: string): Promise<void> {
  try {
    await client.query(sql);
  } catch (cause) {
    throw migrationError(file, cause);
  }
}

function migrationError(file: string, cause: unknown): FleetError {
  const about = cause instanceof DatabaseError && cause.where ? ` (${cause.where.split("\n")[0]})` : "";
  return new FleetError(
    "database-unusable",
    `Migration ${file} failed and was rolled back: ${messageOf(cause)}${about}. Nothing after it was run.`,
    { file },
    cause,
  );
}
