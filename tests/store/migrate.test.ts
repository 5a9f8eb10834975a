/** Migrations: forwards, backwards, one at a time, and what is said when one fails. */
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import { expect, test } from "vitest";
import { FleetError } from "../../src/domain/errors.ts";
import { migrateDown, migrateUp, listPendingMigrations } from "../../src/store/migrate.ts";
import { testDatabase, type TestDatabase } from "../support/database.ts";

const OURS = "src/store/migrations";

test("our migrations go up, all the way down without leaving a thing, and up again to the same schema", async () => {
  await using database = await testDatabase("empty");
  const before = await schemaOf(database);
  const all = (await readdir(OURS)).filter((file) => file.endsWith(".up.sql")).map((file) => file.slice(0, -7));

  expect(await listPendingMigrations(database.url)).toEqual(all.toSorted());
  expect(await migrateUp(database.url)).toEqual(all.toSorted());
  const after = await schemaOf(database);
  expect(await listPendingMigrations(database.url)).toEqual([]);
  expect(await migrateUp(database.url)).toEqual([]);

  expect(await migrateDown(database.url, "0000")).toEqual(all.toSorted().toReversed());
  expect(await schemaOf(database)).toEqual(before);
  await migrateUp(database.url);
  expect(await schemaOf(database)).toEqual(after);
});

test("of two runners at once one waits, and both end well", async () => {
  await using database = await testDatabase("empty");
  const heard: string[] = [];
  const log = (message: string) => heard.push(message);

  const outcomes = await Promise.all([migrateUp(database.url, { log }), migrateUp(database.url, { log })]);

  expect(outcomes.filter((applied) => applied.length === 0)).toHaveLength(1);
  expect(heard.filter((message) => message.includes("waiting"))).toHaveLength(1);
});

test("going down without saying how far reverts the last one, and to a name keeps that one", async () => {
  await using database = await testDatabase("empty");
  await using dir = await migrations({
    "0001_a": "create table a ()",
    "0002_b": "create table b ()",
    "0003_c": "select 1",
  });
  await migrateUp(database.url, dir);

  expect(await migrateDown(database.url, undefined, dir)).toEqual(["0003_c"]);
  expect(await listPendingMigrations(database.url, dir)).toEqual(["0003_c"]);
  await migrateUp(database.url, dir);
  expect(await migrateDown(database.url, "0001_a", dir)).toEqual(["0003_c", "0002_b"]);
});

test("a migration that fails is named, leaves nothing of itself, and keeps those before it", async () => {
  await using database = await testDatabase("empty");
  await using dir = await migrations({ "0001_a": "create table a ()", "0002_b": "create table b (); select nonsense" });

  const failure = await migrateUp(database.url, dir).catch((error: unknown) => error);

  expect(failure).toBeInstanceOf(FleetError);
  expect(failure).toMatchObject({ code: "database-unusable", facts: { file: "0002_b.up.sql" } });
  expect(String(failure)).toContain('column "nonsense" does not exist');
  expect(await database.query("select to_regclass('a')::text as a, to_regclass('b')::text as b")).toEqual([
    { a: "a", b: null },
  ]);
  expect(await listPendingMigrations(database.url, dir)).toEqual(["0002_b"]);
});

test("no statement timeout of the database or its user cuts a long migration", async () => {
  await using database = await testDatabase("empty");
  const name = database.url.slice(database.url.lastIndexOf("/") + 1);
  await database.query(`alter database ${name} set statement_timeout = '50ms'`);
  await using dir = await migrations({ "0001_slow": "select pg_sleep(0.2)" });

  expect(await migrateUp(database.url, dir)).toEqual(["0001_slow"]);
});

test("a migration without its way back, a misnamed file and a database from the future are refused", async () => {
  await using database = await testDatabase("empty");
  await using whole = await migrations({ "0001_a": "select 1", "0002_b": "select 1" });
  await migrateUp(database.url, whole);

  await rm(join(whole.dir, "0002_b.down.sql"));
  await expect(migrateUp(database.url, whole)).rejects.toThrow("0002_b.down.sql is missing");
  await rm(join(whole.dir, "0002_b.up.sql"));
  await expect(migrateUp(database.url, whole)).rejects.toThrow("does not know (0002_b)");
  await writeFile(join(whole.dir, "3-c.sql"), "select 1");
  await expect(migrateUp(database.url, whole)).rejects.toThrow("3-c.sql is not named like");
});

test("a database that is not there is unavailable, not broken", async () => {
  const nowhere = "postgres://x:y@127.0.0.1:1/z";
  await expect(migrateUp(nowhere)).rejects.toMatchObject({ code: "database-unavailable" });
});

test("a broken connection in the middle leaves no lock behind", async () => {
  await using database = await testDatabase("empty");
  await using dir = await migrations({ "0001_a": "select pg_terminate_backend(pg_backend_pid())" });
  await using good = await migrations({ "0001_a": "select 1" });

  await expect(migrateUp(database.url, dir)).rejects.toThrow("0001_a.up.sql");
  expect(await migrateUp(database.url, good)).toEqual(["0001_a"]);
});

interface Migrations extends AsyncDisposable {
  readonly dir: string;
}

async function migrations(ups: Readonly<Record<string, string>>): Promise<Migrations> {
  const dir = await mkdtemp(join(tmpdir(), "fleet-migrations-"));
  for (const [name, sql] of Object.entries(ups)) {
    await writeFile(join(dir, `${name}.up.sql`), sql);
    const table = /create table (\w+)/.exec(sql)?.[1];
    await writeFile(join(dir, `${name}.down.sql`), table ? `drop table ${table};` : "select 1;");
  }
  return { dir, [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }) };
}

/** Everything with a name, apart from the migrations' own bookkeeping. */
async function schemaOf({ url }: TestDatabase): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query<{ thing: string }>(`
    select 'column ' || table_name || '.' || column_name || ' ' || data_type || coalesce(column_default, '') as thing
    from information_schema.columns where table_schema = 'public' and table_name <> 'fleet_migrations'
    union all select 'function ' || p.oid::regprocedure from pg_proc p where pronamespace = 'public'::regnamespace
    union all select 'type ' || typname from pg_type where typnamespace = 'public'::regnamespace
      and typname !~ 'fleet_migrations'
    union all select 'policy ' || tablename || '.' || policyname from pg_policies where schemaname = 'public'
    union all select 'index ' || indexdef from pg_indexes where schemaname = 'public' and tablename <> 'fleet_migrations'
    union all select 'trigger ' || tgname || ' on ' || tgrelid::regclass from pg_trigger where not tgisinternal
    union all select 'constraint ' || conname || pg_get_constraintdef(oid) from pg_constraint
      where connamespace = 'public'::regnamespace and conrelid::regclass::text <> 'fleet_migrations'
    order by 1`);
  await client.end();
  return rows.map(({ thing }) => thing);
}
