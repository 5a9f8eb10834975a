/** What raw SQL can do as a request or a processor: only what row security, grants and triggers allow. */
import { Client } from "pg";
import { expect, test } from "vitest";
import type { Operator } from "../../src/domain/operator.ts";
import { assertDatabaseUsable } from "../../src/store/store.ts";
import { listEvents } from "../../src/store/outbox.ts";
import { listTasks } from "../../src/store/tasks.ts";
import { eventually } from "../support/eventually.ts";
import { testStore, type TestStore } from "../support/store.ts";
import { asOperator } from "../../src/store/principal.ts";

test("raw SQL of a request reads and writes nothing of another tenant, nor another operator's rows of its own", async () => {
  await using world = await testStore();
  const ada = await world.operator();
  const colleague = await world.operator({ tenantId: ada.tenantId });
  const stranger = await world.operator();
  const [mine, theirs, foreign] = [await world.task(ada), await world.task(colleague), await world.task(stranger)];
  const app = await asRequest(world, ada);

  const ids = async (statement: string) => (await app.query<{ id: string }>(statement)).rows.map(({ id }) => id);
  expect((await ids("select id from fleet_tasks")).toSorted()).toEqual([mine.id, theirs.id].toSorted());
  expect(await ids("update fleet_tasks set title = 'x' returning id")).toEqual([mine.id]);
  expect(await ids(`select task_id as id from outbox where task_id = '${foreign.id}'`)).toEqual([]);
  expect(await ids("update slots set active = 0 returning operator_id as id")).toEqual([ada.id]);
  // A narrower scope sees less: the operator's own rows only.
  await app.query("select set_config('app.scope', 'operator', true)");
  expect(await ids("select id from fleet_tasks")).toEqual([mine.id]);

  for (const owner of [colleague, stranger]) {
    await expectRefused(
      app,
      `insert into outbox (tenant_id, operator_id, topic, dedup_key, payload)
      values ('${owner.tenantId}', '${owner.id}', 'spawn', 'k', '{}')`,
    );
    await expectRefused(app, `update fleet_tasks set operator_id = '${owner.id}', tenant_id = '${owner.tenantId}'`);
    await expectRefused(
      app,
      `insert into audit_log (tenant_id, operator_id, chain, seq, actor, action, detail, hash)
      values ('${owner.tenantId}', '${owner.id}', 'operator:${owner.id}', 1, 'x', 'x', '{}', 'x')`,
    );
  }
  // An own row about another operator's task: the foreign key to the task includes its owner.
  await expectRefused(
    app,
    `insert into fleet_notifications (tenant_id, operator_id, task_id, type, channel, dedup_key, summary)
    values ('${ada.tenantId}', '${ada.id}', '${foreign.id}', 'x', 'terminal', 'x', 'x')`,
  );
  await expectRefused(
    app,
    `insert into audit_log (tenant_id, operator_id, chain, seq, actor, action, detail, hash)
    values ('${ada.tenantId}', '${ada.id}', 'operator:${stranger.id}', 1, 'x', 'x', '{}', 'x')`,
  );
});

test("raw SQL of a request cannot raise its tier, rewrite history, truncate tables or read past row security", async () => {
  await using world = await testStore();
  const ada = await world.operator({ tier: "builder" });
  await world.task(ada);
  await world.task(await world.operator());
  const app = await asRequest(world, ada);

  await expectRefused(app, "update operators set tier = 'sovereign'");
  await expectRefused(app, "update operators set tenant_id = 'other'");
  await expectRefused(app, "insert into operators (id, tenant_id, tier) values ('eve', 'acme', 'sovereign')");
  await expectRefused(app, "update audit_log set actor = 'x'");
  await expectRefused(app, "delete from audit_log");
  await expectRefused(app, "select * from audit_log_rest");
  await expectRefused(app, "truncate fleet_tasks");
  await expectRefused(app, "delete from fleet_tasks");
  await expectRefused(app, "select * from signing_keys");
  await expectRefused(app, "alter table fleet_tasks disable row level security");
  await expectRefused(app, "drop policy fleet_tasks_app_reads on fleet_tasks");
  await expectRefused(app, "create table mine ()");
  await expectRefused(app, "create function f() returns int language sql as 'select 1'");
  await app.query("set local row_security = off");
  await expectRefused(app, "select * from fleet_tasks");
});

test("a login that is only a request's cannot become a processor or the owner", async () => {
  await using world = await testStore();
  const name = `login_${world.url.slice(-12)}`;
  await world.query(`create role ${name} login password 'x' in role fleet_app`);
  const url = Object.assign(new URL(world.url), { username: name, password: "x" }).toString();
  const login = new Client({ connectionString: url });
  await login.connect();
  try {
    await expectRefused(login, "set role fleet_worker");
    await expectRefused(login, "set role fleet_owner");
    await expectRefused(login, `select fleet_enter('{"role": "fleet_worker"}')`);
    await expectRefused(login, "set session authorization fleetwright");
    await expect(assertDatabaseUsable(url)).rejects.toMatchObject({ code: "database-unusable" });
  } finally {
    await login.end();
    await world.query(`drop role ${name}`);
  }
});

test("a context without a role, or with a role other than the two, is refused instead of using the login's rights", async () => {
  await using world = await testStore();
  const client = await world.client();

  for (const context of [
    "{}",
    '{"role": null}',
    '{"role": "fleet_owner"}',
    '{"role": "none"}',
    '{"role": "fleetwright"}',
  ]) {
    await expectRefused(client, `select fleet_enter('${context}')`);
  }
});

test("a context ends with its transaction, however that ends", async () => {
  await using world = await testStore();
  const ada = await world.operator();
  await world.task(ada);
  const client = await world.client();

  for (const end of ["commit", "rollback"]) {
    await client.query("begin");
    await client.query("select fleet_enter($1)", [JSON.stringify(asOperator(ada))]);
    await client.query(end);
    const { rows } = await client.query(`select current_user as who, session_user as login,
      coalesce(current_setting('app.tenant_id', true), '') || coalesce(current_setting('app.operator_id', true), '') as context`);
    expect(rows).toEqual([{ who: rows[0].login, login: rows[0].login, context: "" }]);
  }
});

test("a processor sees all tenants and still cannot rewrite history", async () => {
  await using world = await testStore();
  for (let n = 0; n < 3; n += 1) await world.task(await world.operator());
  const client = await world.client();

  const tasks = await world.store.asSystem((tx) => listTasks(tx, { limit: 10 }));
  expect(tasks).toHaveLength(3);
  // Events are delayed while older transactions of the server, also those of other tests, are open.
  await eventually(async () => {
    const events = await world.store.asSystem((tx) => listEvents(tx, { cursor: "0-0", limit: 10 }));
    return events.length === 3 || undefined;
  });
  await client.query("begin; set local role fleet_worker");
  for (const statement of ["update audit_log set actor = 'x'", "delete from audit_log", "truncate audit_log"]) {
    await expectRefused(client, statement);
  }
});

async function asRequest(world: TestStore, operator: Operator): Promise<Client> {
  const client = await world.client();
  await client.query("begin");
  await client.query("select fleet_enter($1)", [JSON.stringify(asOperator(operator))]);
  return client;
}

/** Refused by PostgreSQL: a missing privilege, row security, or a foreign key that includes the owner. */
async function expectRefused(client: Client, statement: string): Promise<void> {
  await client.query("begin; savepoint here").catch(() => {});
  await client.query("savepoint here");
  const code = await client.query(statement).then(
    () => "done",
    (error: { code: string }) => error.code,
  );
  await client.query("rollback to savepoint here");
  expect(["42501", "23503", "23514", "22023"], `${statement}: ${code}`).toContain(code);
}
