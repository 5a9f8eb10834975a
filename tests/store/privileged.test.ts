/** A program whose login could bypass row security does not start; one whose login cannot needs nothing more. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { assertRoleIsolated, assertDatabaseUsable, openStore } from "../../src/store/store.ts";
import { testStore, type TestStore } from "../support/store.ts";
import { asOperator } from "../../src/store/principal.ts";

let world: TestStore;
beforeAll(async () => {
  world = await testStore();
});
afterAll(() => world[Symbol.asyncDispose]());

function urlOf(login: string): string {
  return Object.assign(new URL(world.url), { username: login, password: "x" }).toString();
}

test("a login with the two roles and nothing else is all that a process needs", async () => {
  const name = `both_${world.url.slice(-12)}`;
  await world.query(`create role ${name} login noinherit password 'x' in role fleet_app, fleet_worker`);
  const store = openStore({
    url: urlOf(name),
    maxConnections: 2,
    statementTimeoutMs: 5_000,
    onLostConnection: () => {},
  });
  try {
    expect(await assertDatabaseUsable(urlOf(name))).toMatchObject({ privilegedLogin: undefined });
    const ada = await world.operator();
    const task = await world.task(ada);
    const moved = await store.transitions.transition(asOperator(ada), {
      task,
      to: "cancelled",
      actor: "test",
      action: "test.move",
    });
    expect(moved.status).toBe("cancelled");
  } finally {
    await store.close();
    await world.query(`drop role ${name}`);
  }
  expect((await assertDatabaseUsable(world.url)).privilegedLogin).toBe("fleetwright");
});

test.each([
  ["alter role fleet_app bypassrls", "fleet_app is privileged: alter role fleet_app nosuperuser nobypassrls"],
  ["alter role fleet_app superuser", "fleet_app is privileged"],
  ["alter role fleet_app createrole", "fleet_app is privileged"],
  ["alter table fleet_tasks owner to fleet_app", "fleet_app owns tables, or may become who does"],
  ["grant fleet_owner to fleet_app", "fleet_app may become fleet_owner: revoke fleet_owner from fleet_app"],
  ["grant fleet_worker to fleet_app", "fleet_app may become fleet_worker"],
  ["grant pg_read_all_data to fleet_app", "fleet_app may become pg_read_all_data"],
  ["grant pg_execute_server_program to fleet_app", "fleet_app may become pg_execute_server_program"],
  [
    "create or replace function fleet_enter(p_context jsonb) returns void language sql as 'select'",
    "a transaction that enters fleet_app is fleetwright",
  ],
])("a process does not start after: %s", async (statement, words) => {
  // Roles belong to the whole server, so this is done in a transaction that other tests cannot see, and rolled back.
  const client = await world.client();
  await client.query("begin");
  await assertRoleIsolated(client, "fleet_app");
  await client.query("reset role");
  await client.query(statement);
  await expect(assertRoleIsolated(client, "fleet_app")).rejects.toMatchObject({
    code: "database-unusable",
    message: expect.stringContaining(words),
  });
  await client.query("rollback");
  await client.end();
});
