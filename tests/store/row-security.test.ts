/**
 * Who reads and writes which rows: tested on every table of the catalogue, through a pool and a pooler, and with raw
 * SQL.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { z } from "zod";
import type { Operator } from "../../src/domain/operator.ts";
import { assertDatabaseUsable, openStore, type Store } from "../../src/store/store.ts";
import { findTask, listTasks } from "../../src/store/tasks.ts";
import { testPooler } from "../support/pgbouncer.ts";
import { testStore, type TestStore } from "../support/store.ts";
import { asOperator } from "../../src/store/principal.ts";

const how = { actor: "test", action: "test.move" };

test("every table with a tenant has forced row security and policies for reading and each kind of write", async () => {
  await using world = await testStore();

  const tables = await world.query(`
    select c.relname as table, c.relrowsecurity and c.relforcerowsecurity as forced, c.relispartition as partition,
      (select array_agg(distinct case p.polcmd when '*' then 'all' when 'r' then 'select' when 'a' then 'insert'
         when 'w' then 'update' else 'delete' end || ' ' || r.rolname) from pg_policy p join pg_roles r on r.oid = any(p.polroles)
        where p.polrelid = c.oid) as policies,
      has_table_privilege('fleet_app', c.oid, 'select') or has_table_privilege('fleet_worker', c.oid, 'select') as readable
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'public' and c.relkind in ('r', 'p')
      and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)`);

  expect(tables.length).toBeGreaterThan(15);
  const wanted = ["all fleet_worker", "delete fleet_app", "insert fleet_app", "select fleet_app", "update fleet_app"];
  // A partition is reached through its parent alone, so it has no policy and no grant of its own.
  const found = tables.map(({ table, forced, partition, policies, readable }) => ({
    table,
    forced,
    policies: z.array(z.string()).nullable().parse(policies)?.toSorted() ?? [],
    readable: readable || partition,
  }));
  expect(found).toEqual(
    tables.map(({ table, partition }) => ({ table, forced: true, policies: partition ? [] : wanted, readable: true })),
  );
  expect(tables.filter(({ partition, readable }) => partition && readable)).toEqual([]);
});

test("without a context a request's role sees no row of any tenant, and no view bypasses row security", async () => {
  await using world = await testStore();
  await world.task(await world.operator(), "running");
  const app = await world.client();
  await app.query("set role fleet_app");

  const readable = await world.query(`
    select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'public' and c.relkind in ('r', 'p') and has_table_privilege('fleet_app', c.oid, 'select')
      and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id')`);
  for (const { name } of readable) {
    const { rows } = await app.query(`select count(*)::int as n from ${String(name)}`);
    expect({ name, rows }).toEqual({ name, rows: [{ n: 0 }] });
  }
  expect(
    await world.query(`select relname from pg_class where relkind in ('v', 'm') and relnamespace = 'public'::regnamespace
      and not coalesce(reloptions @> array['security_invoker=true'], false)`),
  ).toEqual([]);
});

test("2,000 requests of 50 tenants through one pool see no foreign row, also after errors, rollbacks and timeouts", async () => {
  await using world = await testStore();
  const tenants = await tenantsWithTasks(world, 50);

  expect(await foreignRows(world.store, tenants, 2_000)).toBe(0);
});

test("the same through pgbouncer in transaction mode", async () => {
  await using world = await testStore();
  const tenants = await tenantsWithTasks(world, 50);
  await using pooler = await testPooler(world.url, 3);
  const store = openStore({
    url: pooler.url,
    maxConnections: 20,
    statementTimeoutMs: 5_000,
    onLostConnection: () => {},
  });

  try {
    expect(await foreignRows(store, tenants, 2_000)).toBe(0);
    const { operator, taskId } = tenants[0] ?? fail();
    const task = (await store.as(operator, (tx) => findTask(tx, taskId))) ?? fail();
    const moved = await store.transitions.transition(asOperator(operator), { task, to: "cancelled", ...how });
    expect(await world.read(taskId)).toEqual(moved);
  } finally {
    await store.close();
  }
});

interface Tenant {
  readonly operator: Operator;
  readonly taskId: string;
}

async function tenantsWithTasks(world: TestStore, count: number): Promise<Tenant[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const operator = await world.operator();
      return { operator, taskId: (await world.task(operator)).id };
    }),
  );
}

const Seen = z.object({ tenantId: z.string() });

/** How many foreign rows were read or changed in `requests` requests of every kind. */
async function foreignRows(store: Store, tenants: readonly Tenant[], requests: number): Promise<number> {
  let foreign = 0;
  const one = async (index: number): Promise<void> => {
    const { operator, taskId } = tenants[index % tenants.length] ?? fail();
    const other = tenants[(index * 7 + 1) % tenants.length] ?? fail();
    const on = asOperator(operator);
    const stranger = other.operator.tenantId !== operator.tenantId;
    await store
      .transaction(on, async (tx) => {
        const rows = await listTasks(tx, { limit: 100 });
        foreign += rows.filter(({ tenantId }) => tenantId !== operator.tenantId).length;
        if (!rows.some(({ id }) => id === taskId)) throw new Error("The own task is not seen.");
        if (index % 5 === 0) {
          const audit = await tx.many(Seen)`select tenant_id from audit_log union all select tenant_id from outbox`;
          foreign += audit.filter(({ tenantId }) => tenantId !== operator.tenantId).length;
        }
        if (stranger && index % 3 === 0)
          foreign += await tx.run`update fleet_tasks set title = 'x' where id = ${other.taskId}`;
        if (index % 11 === 0) await tx.run`select 1 / 0`;
        if (index % 13 === 0) throw new Error("rolled back on purpose");
        if (index % 101 === 0) {
          await tx.run`set local statement_timeout = 20`;
          await tx.run`select pg_sleep(1)`;
        }
      })
      .catch((error: unknown) => {
        if (String(error).includes("own task")) throw error;
      });
  };
  const lane = async (start: number) => {
    for (let index = start; index < requests; index += 20) await one(index);
  };
  await Promise.all(Array.from({ length: 20 }, (_, start) => lane(start)));
  return foreign;
}

test("a login without the two roles is refused, and the refusal says what to do", async () => {
  await using world = await testStore();
  expect(await assertDatabaseUsable(world.url)).toMatchObject({ maxConnections: 300 });

  const name = `login_${world.url.slice(-12)}`;
  await world.query(`create role ${name} login password 'x'`);
  const url = Object.assign(new URL(world.url), { username: name, password: "x" }).toString();
  await expect(assertDatabaseUsable(url)).rejects.toThrow("fleet migrate");
  await world.query(`drop role ${name}`);
  await expect(assertDatabaseUsable("postgres://nobody@127.0.0.1:1/x")).rejects.toMatchObject({
    code: "database-unavailable",
  });
});

test("only the store and its migrations open connections, and only store.ts uses the pool", async () => {
  const files = (await readdir("src", { recursive: true })).filter((file) => file.endsWith(".ts"));
  const takers: string[] = [];
  for (const file of files) {
    const text = await readFile(join("src", file), "utf8");
    const imports = [...text.matchAll(/import\s+(type\s+)?\{([^}]*)\}\s+from\s+"pg"/g)];
    const values = imports.flatMap(([, type, names = ""]) => (type ? [] : names.split(","))).map((one) => one.trim());
    const taken = values.filter((one) => one !== "" && !one.startsWith("type ") && one !== "DatabaseError");
    for (const one of taken) takers.push(`${file}: ${one}`);
    if (/\bpool\.(?:query|connect)\(/.test(text) && file !== join("store", "store.ts")) takers.push(`${file}: a pool`);
  }

  expect(takers.filter((taker) => taker.includes("Pool") || taker.includes("a pool")).toSorted()).toEqual([
    // BullMQ's own tables in PostgreSQL hold no tenant's rows.
    "broker/postgres.ts: a pool",
    "store/store.ts: Pool",
  ]);
  expect(takers.filter((taker) => !/^(?:store|broker)\//.test(taker))).toEqual([]);
});

function fail(): never {
  throw new Error("Not found.");
}
