/** Migrations and functions: forwards, backwards, one runner at a time, and the error when one fails. */
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import { expect, test } from "vitest";
import { FleetError } from "../../src/domain/errors.ts";
import { migrateDown, migrateUp, listPendingMigrations } from "../../src/store/migrate.ts";
import { testDatabase, type TestDatabase } from "../support/database.ts";

const OURS = "src/store";

test("our migrations go up, all the way down without leaving anything, and up again to the same schema", async () => {
  await using database = await testDatabase("empty");
  const before = await schemaOf(database);
  const files = (await readdir(join(OURS, "migrations"))).filter((file) => file.endsWith(".up.sql"));
  const all = files.map((file) => file.slice(0, -7));
  const functions = (await readdir(join(OURS, "functions"))).map((file) => `functions/${file}`);

  expect(await listPendingMigrations(database.url)).toEqual([...all.toSorted(), ...functions.toSorted()]);
  expect(await migrateUp(database.url)).toEqual([...all.toSorted(), ...functions.toSorted()]);
  const after = await schemaOf(database);
  expect(await listPendingMigrations(database.url)).toEqual([]);
  expect(await migrateUp(database.url)).toEqual([]);

  expect(await migrateDown(database.url, "0000")).toEqual(all.toSorted().toReversed());
  expect(await schemaOf(database)).toEqual(before);
  await migrateUp(database.url);
  expect(await schemaOf(database)).toEqual(after);
});

test("of two concurrent runners one waits, and both succeed", async () => {
  await using database = await testDatabase("empty");
  const heard: string[] = [];
  const log = (message: string) => heard.push(message);

  const outcomes = await Promise.all([migrateUp(database.url, { log }), migrateUp(database.url, { log })]);

  expect(outcomes.filter((applied) => applied.length === 0)).toHaveLength(1);
  expect(heard.filter((message) => message.includes("waiting"))).toHaveLength(1);
});

test("going down without a name reverts the last one, and with a name leaves that one applied", async () => {
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

test("a migration that fails is named and rolled back, and those before it stay", async () => {
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

test("no statement timeout of the database or its user interrupts a long migration", async () => {
  await using database = await testDatabase("empty");
  const name = database.url.slice(database.url.lastIndexOf("/") + 1);
  await database.query(`alter database ${name} set statement_timeout = '50ms'`);
  await using dir = await migrations({ "0001_slow": "select pg_sleep(0.2)" });

  expect(await migrateUp(database.url, dir)).toEqual(["0001_slow"]);
});

test("a migration without its down file, a misnamed file and a database of a newer version are refused", async () => {
  await using database = await testDatabase("empty");
  await using whole = await migrations({ "0001_a": "select 1", "0002_b": "select 1" });
  await migrateUp(database.url, whole);

  await rm(join(whole.dir, "migrations", "0002_b.down.sql"));
  await expect(migrateUp(database.url, whole)).rejects.toThrow("0002_b.down.sql is missing");
  await rm(join(whole.dir, "migrations", "0002_b.up.sql"));
  await expect(migrateUp(database.url, whole)).rejects.toThrow("does not know (0002_b)");
  await writeFile(join(whole.dir, "migrations", "3-c.sql"), "select 1");
  await expect(migrateUp(database.url, whole)).rejects.toThrow("3-c.sql is not named like");
});

test("a database that does not exist is reported as unavailable, not as unusable", async () => {
  const nowhere = "postgres://x:y@127.0.0.1:1/z";
  await expect(migrateUp(nowhere)).rejects.toMatchObject({ code: "database-unavailable" });
});

test("a connection that breaks in the middle leaves no lock behind", async () => {
  await using database = await testDatabase("empty");
  await using dir = await migrations({ "0001_a": "select pg_terminate_backend(pg_backend_pid())" });
  await using good = await migrations({ "0001_a": "select 1" });

  await expect(migrateUp(database.url, dir)).rejects.toThrow("0001_a.up.sql");
  expect(await migrateUp(database.url, good)).toEqual(["0001_a"]);
});

test("a migration that comes before an applied one is refused, because it would run in another order elsewhere", async () => {
  await using database = await testDatabase("empty");
  await using later = await migrations({ "0001_a": "select 1", "0003_c": "select 1" });
  await using both = await migrations({ "0001_a": "select 1", "0002_b": "select 1", "0003_c": "select 1" });
  await migrateUp(database.url, later);

  await expect(migrateUp(database.url, both)).rejects.toThrow("Migration 0002_b was not applied, but 0003_c after it");
});

test("a database with the migrations from before the first release is refused with instructions, and is not changed", async () => {
  await using database = await testDatabase("empty");
  await database.query("create table fleet_migrations (id serial primary key, name varchar(255), run_on timestamp)");
  await database.query(
    "insert into fleet_migrations (name, run_on) values ('0001_roles', now()), ('0016_listings', now())",
  );
  const before = await schemaOf(database);

  for (const refused of [migrateUp, migrateDown, listPendingMigrations]) {
    const failure = await refused(database.url).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "database-unusable" });
    expect(String(failure)).toContain("(0001_roles to 0016_listings), and it cannot be upgraded. Nothing was changed.");
    expect(String(failure)).toContain("set DATABASE_URL or, for the embedded PostgreSQL, FLEET_HOME to a new one");
  }
  expect(await schemaOf(database)).toEqual(before);
  expect(await database.query("select name from fleet_migrations order by name")).toHaveLength(2);
});

test("a function is created again when its file changes, and all are created again after a migration", async () => {
  await using database = await testDatabase("empty");
  const first = functionOf("one", "select 1 + two()");
  await using dir = await migrations(
    { "0001_a": "grant usage, create on schema public to fleet_owner; create table a ()" },
    { "one.sql": first, "two.sql": functionOf("two", "select 2") },
  );
  const heard: string[] = [];

  expect(await migrateUp(database.url, dir)).toEqual(["0001_a", "functions/one.sql", "functions/two.sql"]);
  expect(await database.query("select one()")).toEqual([{ one: 3 }]);
  expect(await migrateUp(database.url, dir)).toEqual([]);

  await writeFile(join(dir.dir, "functions", "two.sql"), functionOf("two", "select 20"));
  expect(await listPendingMigrations(database.url, dir)).toEqual(["functions/two.sql"]);
  expect(await migrateUp(database.url, { ...dir, log: (message) => heard.push(message) })).toEqual([
    "functions/two.sql",
  ]);
  expect(heard).toEqual(["SQL functions created: functions/two.sql."]);
  expect(await database.query("select one()")).toEqual([{ one: 21 }]);

  await addMigration(dir.dir, "0002_b", "create table b ()");
  expect(await migrateUp(database.url, dir)).toEqual(["0002_b", "functions/one.sql", "functions/two.sql"]);
  await migrateDown(database.url, undefined, dir);
  expect(await database.query("select one()")).toEqual([{ one: 21 }]);
});

test.each([
  { what: "that PostgreSQL cannot read", broken: "create nothing broken()", file: "functions/broken.sql" },
  { what: "whose body names what does not exist", broken: functionOf("broken", "select nothing()"), file: "functions" },
])("when one function $what, none changes, and the next run tries them all", async ({ broken, file }) => {
  await using database = await testDatabase("empty");
  await using dir = await migrations(
    { "0001_a": "grant usage, create on schema public to fleet_owner" },
    { "a.sql": functionOf("a", "select 1") },
  );
  await migrateUp(database.url, dir);
  await writeFile(join(dir.dir, "functions", "a.sql"), functionOf("a", "select 2"));
  await writeFile(join(dir.dir, "functions", "broken.sql"), broken);

  await expect(migrateUp(database.url, dir)).rejects.toMatchObject({ code: "database-unusable", facts: { file } });
  expect(await database.query("select a()")).toEqual([{ a: 1 }]);
  expect(await listPendingMigrations(database.url, dir)).toEqual(["functions/a.sql", "functions/broken.sql"]);
});

test("our functions can be created again while the audit log has months, and its triggers stay", async () => {
  await using database = await testDatabase();
  await database.query("select fleet_audit_months(1)");
  const before = await schemaOf(database);

  await database.query("delete from fleet_functions");
  expect((await migrateUp(database.url)).length).toBeGreaterThan(15);
  expect(await schemaOf(database)).toEqual(before);
});

interface Migrations extends AsyncDisposable {
  readonly dir: string;
}

async function migrations(
  ups: Readonly<Record<string, string>>,
  functions: Readonly<Record<string, string>> = {},
): Promise<Migrations> {
  const dir = await mkdtemp(join(tmpdir(), "fleet-migrations-"));
  await mkdir(join(dir, "migrations"));
  await mkdir(join(dir, "functions"));
  for (const [name, sql] of Object.entries(ups)) await addMigration(dir, name, sql);
  for (const [name, sql] of Object.entries(functions)) await writeFile(join(dir, "functions", name), sql);
  return { dir, [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }) };
}

async function addMigration(dir: string, name: string, sql: string): Promise<void> {
  await writeFile(join(dir, "migrations", `${name}.up.sql`), sql);
  const table = /create table (\w+)/.exec(sql)?.[1];
  await writeFile(join(dir, "migrations", `${name}.down.sql`), table ? `drop table ${table};` : "select 1;");
}

function functionOf(name: string, body: string): string {
  return `create or replace function ${name}() returns integer language sql as $$ ${body} $$;`;
}

/** Every named object, apart from the migrations' own bookkeeping. */
async function schemaOf({ url }: TestDatabase): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query<{ thing: string }>(`
    select 'column ' || table_name || '.' || column_name || ' ' || data_type || coalesce(column_default, '') as thing
    from information_schema.columns where table_schema = 'public' and table_name not in ('fleet_migrations', 'fleet_functions')
    union all select 'function ' || p.oid::regprocedure from pg_proc p where pronamespace = 'public'::regnamespace
    union all select 'type ' || typname from pg_type where typnamespace = 'public'::regnamespace
      and typname !~ 'fleet_migrations|fleet_functions'
    union all select 'policy ' || tablename || '.' || policyname from pg_policies where schemaname = 'public'
    union all select 'index ' || indexdef from pg_indexes where schemaname = 'public' and tablename not in ('fleet_migrations', 'fleet_functions')
    union all select 'trigger ' || tgname || ' on ' || tgrelid::regclass from pg_trigger where not tgisinternal
    union all select 'constraint ' || conname || pg_get_constraintdef(oid) from pg_constraint
      where connamespace = 'public'::regnamespace and conrelid::regclass::text not in ('fleet_migrations', 'fleet_functions')
    order by 1`);
  await client.end();
  return rows.map(({ thing }) => thing);
}
