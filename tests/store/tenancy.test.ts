/** Hand-written SQL, as the role behind requests, against every table of the catalogue with rows of two tenants. */
import { Client } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import type { Operator } from "../../src/domain/operator.ts";
import { openStore, type Store } from "../../src/store/store.ts";
import { findTask, listTasks } from "../../src/store/tasks.ts";
import { insertMarkedRows, tenantTables } from "../support/marked-rows.ts";
import { testPooler } from "../support/pgbouncer.ts";
import { testStore, type TestStore } from "../support/store.ts";
import { asOperator } from "../../src/store/principal.ts";

const MARKS = { ada: "mark-ada", eve: "mark-eve" };

let world: TestStore;
let ada: Operator;
let eve: Operator;
let tables: string[];
beforeAll(async () => {
  world = await testStore();
  [ada, eve] = [await world.operator(), await world.operator()];
  tables = await tenantTables(world.query);
  await insertMarkedRows(world.query, ada, MARKS.ada);
  await insertMarkedRows(world.query, eve, MARKS.eve);
});
afterAll(() => world[Symbol.asyncDispose]());

/** All rows of one tenant, as they are stored. */
async function printOf({ tenantId }: Operator): Promise<Record<string, { rows: unknown; print: unknown }>> {
  const one = (table: string) =>
    `select '${table}' as name, count(*)::int as rows, md5(string_agg(t::text, '|' order by t::text)) as print
       from ${table} t where tenant_id = '${tenantId}'`;
  const found = await world.query(tables.map((table) => one(table)).join(" union all "));
  return Object.fromEntries(found.map(({ name, rows, print }) => [String(name), { rows, print }]));
}

test("every table with a tenant holds rows of both tenants, so that the following tests can fail", async () => {
  expect(tables.length).toBeGreaterThan(20);
  for (const owner of [ada, eve]) {
    const print = await printOf(owner);
    expect(Object.entries(print).filter(([, { rows }]) => rows === 0)).toEqual([]);
  }
});

test("children reference their parents by keys with tenant and operator; no view and no copy bypasses row security", async () => {
  const keys = await world.query(`
    select conrelid::regclass::text || '.' || conname as name,
      exists (select from pg_attribute where attrelid = conrelid and attnum = any(conkey) and attname = 'tenant_id') as tenant
    from pg_constraint where contype = 'f' and connamespace = 'public'::regnamespace and conparentid = 0
      and exists (select from pg_attribute where attrelid = confrelid and attname = 'tenant_id' and not attisdropped)`);
  expect(keys.length).toBeGreaterThan(8);
  expect(keys.filter(({ tenant }) => !tenant)).toEqual([]);
  const copies = `select relname from pg_class where relnamespace = 'public'::regnamespace and (relkind = 'm'
    or relkind = 'v' and not coalesce(reloptions @> array['security_invoker=true'], false))`;
  expect(await world.query(copies)).toEqual([]);
  // A SECURITY DEFINER function has its owner's rights: no request may call one, and each has a fixed search path.
  const definers = `select p.oid::regprocedure::text as name from pg_proc p
    where prosecdef and pronamespace = 'public'::regnamespace and (has_function_privilege('fleet_app', p.oid, 'execute')
      or not coalesce(proconfig::text like '%search_path=public, pg_temp%', false))`;
  expect(await world.query(definers)).toEqual([]);
});

test("no statement of a request reads, changes, removes or takes over a row of another tenant, in any table", async () => {
  const before = await printOf(ada);
  const client = await asRequest(eve);
  for (const table of tables) {
    const outcome = async (statement: string) => attempt(client, statement);
    const seen = await outcome(`select count(*)::int as n from ${table} t where tenant_id <> '${eve.tenantId}'
      or t::text like '%${MARKS.ada}%'`);
    expect([table, seen.code, seen.rows]).toEqual([table, undefined, [{ n: 0 }]]);
    const theirs = `tenant_id = '${ada.tenantId}'`;
    for (const statement of [
      `update ${table} set tenant_id = '${eve.tenantId}', operator_id = '${eve.id}' where ${theirs}`,
      `delete from ${table} where ${theirs}`,
      `select * from ${table} where ${theirs} for update`,
      `insert into ${table} select (jsonb_populate_record(mine, '${JSON.stringify({
        tenant_id: ada.tenantId,
        operator_id: ada.id,
      })}')).* from ${table} mine`,
      `update ${table} set tenant_id = '${ada.tenantId}'`,
    ]) {
      const { code, count } = await outcome(statement);
      expect([statement, code === undefined ? count : refusal(code)]).toEqual([
        statement,
        code === undefined ? 0 : "refused",
      ]);
    }
  }
  await client.query("commit");
  expect(await printOf(ada)).toEqual(before);
});

/**
 * Expected errors: privilege or row security; a key with the owner; a generated column, or one that operators name
 * differently.
 */
function refusal(code: string): string {
  return ["42501", "23503", "428C9", "42703"].includes(code) ? "refused" : code;
}

test.each([
  "set local role fleet_worker",
  "set local role fleet_owner",
  "set local role fleetwright",
  "set session authorization fleetwright",
  "select set_config('role', 'fleet_worker', true)",
  `select fleet_enter('{"role": "fleet_worker"}')`,
  "alter role fleet_app bypassrls",
  "alter role fleet_app superuser",
  "create role mallory superuser",
  "grant fleet_owner to fleet_app",
  "alter table fleet_tasks disable row level security",
  "alter table fleet_tasks no force row level security",
  "alter table fleet_tasks owner to fleet_app",
  "drop policy fleet_tasks_app_reads on fleet_tasks",
  "create policy all_of_it on fleet_tasks using (true)",
  "drop trigger audit_log_append_only on audit_log",
  "alter table audit_log disable trigger all",
  "set local session_replication_role = replica",
  "create function f() returns int language sql security definer as 'select 1'",
  "create or replace function fleet_enter(p_context jsonb) returns void language sql as 'select 1'",
  "create table mine ()",
  "create view all_tasks as select * from fleet_tasks",
  "create schema mine",
  "create extension dblink",
  "select * from pg_authid",
  "select * from pg_shadow",
  "select * from signing_keys",
  "select * from audit_log_rest",
  "select pg_read_file('/etc/passwd')",
  "select pg_ls_dir('/')",
  "select lo_import('/etc/passwd')",
  "select lo_export(1, '/tmp/fleet-lo')",
  "select lo_get(loid) from pg_largeobject",
  "copy fleet_tasks to program 'cat'",
  "copy fleet_tasks from program 'cat /etc/passwd'",
  "copy fleet_tasks to '/tmp/fleet-copy'",
  "update audit_log set actor = 'x'",
  "delete from audit_log",
  "truncate audit_log",
  "truncate fleet_tasks cascade",
  "update operators set tier = 'sovereign'",
  "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'fleetwright'",
])("a login with only the request role is refused: %s", async (statement) => {
  const { code, count } = await attempt(await onlyRequests(), statement);
  expect(["42501", "42710", "0A000", "55000"], `${statement}: ${code} ${count}`).toContain(code);
});

test("row_security = off shows a request nothing: the statement fails instead of bypassing the policies", async () => {
  const client = await onlyRequests();
  await client.query("set local row_security = off");
  for (const table of tables) {
    const { code } = await attempt(client, `select * from ${table}`);
    expect([table, code]).toEqual([table, "42501"]);
  }
});

let requestsOnly: Client | undefined;
const loginName = () => `login_${world.url.slice(-12)}`;
afterAll(async () => {
  await requestsOnly?.end();
  if (requestsOnly) await world.query(`drop role ${loginName()}`);
});

/** In a transaction of eve's, over a login that is a member of fleet_app and of nothing else. */
async function onlyRequests(): Promise<Client> {
  if (!requestsOnly) {
    await world.query(`create role ${loginName()} login noinherit password 'x' in role fleet_app`);
    requestsOnly = new Client({ connectionString: as(loginName()) });
    requestsOnly.on("error", () => {});
    await requestsOnly.connect();
  }
  await requestsOnly.query("rollback").catch(() => {});
  await requestsOnly.query("begin");
  await requestsOnly.query("select fleet_enter($1)", [JSON.stringify(asOperator(eve))]);
  return requestsOnly;
}

function as(login: string): string {
  return Object.assign(new URL(world.url), { username: login, password: "x" }).toString();
}

async function asRequest(operator: Operator): Promise<Client> {
  const client = await world.client();
  await client.query("begin");
  await client.query("select fleet_enter($1)", [JSON.stringify(asOperator(operator))]);
  return client;
}

async function attempt(client: Client, statement: string) {
  await client.query("savepoint here");
  try {
    const { rowCount, rows } = await client.query(statement);
    return { code: undefined, count: rowCount ?? 0, rows };
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "none";
    return { code, count: 0, rows: [] };
  } finally {
    await client.query("rollback to savepoint here");
  }
}

const Seen = z.object({ tenantId: z.string() });

test.each(["the pool", "pgbouncer in transaction mode"])(
  "however the previous transaction ended, the next user of a connection of %s has no identity until it sets one",
  async (through) => {
    await using pooler = through === "the pool" ? undefined : await testPooler(world.url, 1);
    const url = pooler?.url ?? world.url;
    const store = openStore({ url, maxConnections: 1, statementTimeoutMs: 300, onLostConnection: () => {} });
    try {
      for (const [name, end] of ENDINGS) {
        await end(store, ada).catch(() => undefined);
        const seen = await store.as(
          eve,
          (tx) => tx.many(Seen)`select tenant_id from fleet_tasks union select tenant_id from audit_log`,
        );
        expect([name, seen]).toEqual([name, [{ tenantId: eve.tenantId }]]);
        expect([name, await whoIsLent(url)]).toEqual([name, { context: "", role: "fleetwright" }]);
      }
    } finally {
      await store.close();
    }
  },
);

const ENDINGS: readonly (readonly [string, (store: Store, by: Operator) => Promise<unknown>])[] = [
  ["a commit", (store, by) => store.as(by, (tx) => listTasks(tx, { limit: 1 }))],
  ["an error of SQL", (store, by) => store.as(by, (tx) => tx.run`select 1 / 0`)],
  ["an error of ours", (store, by) => store.as(by, () => Promise.reject(new Error("ours")))],
  [
    "a savepoint rolled back to",
    (store, by) =>
      store.as(by, async (tx) => {
        await tx.run`savepoint a`;
        await tx.run`select set_config('app.scope', 'operator', true)`;
        await tx.run`rollback to savepoint a`;
      }),
  ],
  ["a statement's time-out", (store, by) => store.as(by, (tx) => tx.run`select pg_sleep(5)`)],
  [
    "a query that was cancelled",
    (store, by) =>
      store.as(by, async (tx) => {
        await tx.run`select pg_cancel_backend(pg_backend_pid())`;
        await tx.run`select pg_sleep(0.2)`;
      }),
  ],
  [
    "a transaction that ended itself and went on",
    (store, by) =>
      store.as(by, async (tx) => {
        await tx.run`commit`;
        await findTask(tx, "00000000-0000-7000-8000-000000000000");
      }),
  ],
  [
    "a connection that was cut",
    (store, by) => store.as(by, (tx) => tx.run`select pg_terminate_backend(pg_backend_pid())`),
  ],
];

/** The identity of a new connection, before it sets one. */
async function whoIsLent(url: string) {
  const client = new Client({ connectionString: url });
  client.on("error", () => {});
  await client.connect();
  const { rows } = await client.query(`select current_user::text as role,
    coalesce(current_setting('app.tenant_id', true), '') || coalesce(current_setting('app.operator_id', true), '') as context`);
  await client.end();
  return rows[0];
}
