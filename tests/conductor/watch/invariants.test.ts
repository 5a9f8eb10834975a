/** The invariants: each is broken once by hand, as only the owner of the database can, and is then named. */
import { expect, test } from "vitest";
import { verifyAudit } from "../../../src/conductor/audit/verify.ts";
import { checkInvariants, watchInvariants } from "../../../src/conductor/watch/invariants.ts";
import { testFleet, type TestFleet } from "../../support/fleet.ts";
import { forceStatus } from "../../support/store.ts";
import { SYSTEM } from "../../../src/store/principal.ts";

/** Tasks in several statuses, reached by valid transitions. */
async function someTasks(fleet: TestFleet) {
  const by = await fleet.operator({ tier: "architect" });
  const repository = await fleet.aRepository();
  const [ended, live] = [
    await fleet.spawn(by, { repository, script: "exit-1", maxRetries: 0 }),
    await fleet.spawn(by, { repository, script: "hang" }),
  ];
  await fleet.runUntil(ended.id, "abandoned");
  await fleet.runUntil(live.id, "running");
  await fleet.tick();
  return { by, ended: ended.id, live: live.id };
}

const broken = async (fleet: TestFleet) =>
  (await checkInvariants(fleet.fleet)).filter(({ holds }) => holds === false).map(({ id }) => id);

/** Bypasses every check, as the owner of the database. */
const byHand = (fleet: TestFleet, statement: string) =>
  fleet.query(`begin; set local session_replication_role = replica; ${statement}; commit`);

interface Break {
  readonly id: string;
  readonly statement: (tasks: { ended: string; live: string }) => string;
  /** Other invariants that cannot hold then. */
  readonly besides?: readonly string[];
}

const BREAKS: readonly Break[] = [
  { id: "INV-014", statement: () => "update operators set tier = 'observer'" },
  { id: "INV-015", statement: ({ live }) => `delete from attempts where task_id = '${live}'` },
  {
    id: "INV-016",
    statement: ({ ended }) => `delete from audit_log where task_id = '${ended}' and action = 'task.abandoned'`,
    besides: ["R7"],
  },
  {
    id: "INV-017",
    statement: ({ live }) =>
      `alter table fleet_tasks drop constraint if exists fleet_tasks_retries_bounded; update fleet_tasks set retry_count = max_retries + 1 where id = '${live}'`,
  },
  { id: "INV-018", statement: ({ ended }) => `delete from fleet_notifications where task_id = '${ended}'` },
  {
    id: "R1",
    statement: ({ live }) =>
      `update fleet_tasks set status = 'retrying', waiting_for = null, due_at = null, updated_at = now() - interval '10 min' where id = '${live}'`,
    besides: ["R2", "R12", "INV-015"],
  },
  { id: "R6", statement: () => "update slots set active = active - 1" },
  {
    id: "R7",
    statement: ({ live }) => `update audit_log set actor = 'somebody else' where task_id = '${live}' and seq = 2`,
  },
  {
    id: "R8",
    statement: ({ live }) =>
      `insert into outbox (tenant_id, operator_id, task_id, topic, dedup_key, payload, dead_at) select tenant_id, operator_id, id, 'spawn', 'dead', '{}', now() from fleet_tasks where id = '${live}'`,
  },
  {
    id: "R12",
    statement: ({ live }) =>
      `update audit_log set detail = detail || '{"from": "merged", "to": "running"}' where task_id = '${live}' and detail->>'to' = 'running'`,
    besides: ["R7"],
  },
  ...["'running', null", "'pending', now()", "'completed', now()"].map((standing) => ({
    id: "R13",
    statement: () =>
      `insert into work_orders (id, tenant_id, operator_id, product_id, intent, budget, source, batch_id, updated_at, status, requested_at)
       values (gen_random_uuid(), 'a', 'a', 'p', 'test', '{}', 'manual', gen_random_uuid(), now() - interval '10 min', ${standing})`,
  })),
];

test("after valid transitions only, all of them hold", async () => {
  await using fleet = await testFleet();
  await someTasks(fleet);

  const verdicts = await checkInvariants(fleet.fleet);

  expect(verdicts.filter(({ holds }) => holds !== true)).toEqual([]);
  expect(verdicts.map(({ id }) => id)).toEqual(expect.arrayContaining(["INV-014", "INV-018", "R1", "R7", "R12"]));
});

test("each of them is named when it is broken, with the violation", async () => {
  await using fleet = await testFleet();
  const tasks = await someTasks(fleet);
  // Each one alone: the change is reverted before the next.
  const tables = [
    "fleet_tasks",
    "attempts",
    "audit_log",
    "fleet_notifications",
    "slots",
    "operators",
    "outbox",
    "heartbeats",
    "work_orders",
  ];
  const save = tables.map((table) => `create table saved_${table} as table ${table}`).join("; ");
  const columns = async (table: string) =>
    (
      await fleet.query(
        "select column_name as c from information_schema.columns where table_name = $1 and is_generated = 'NEVER' and table_schema = 'public'",
        [table],
      )
    ).map(({ c }) => `"${String(c)}"`);
  await fleet.query(save);
  const restores: string[] = [];
  for (const table of tables) {
    const list = (await columns(table)).join(", ");
    restores.push(
      `delete from ${table}`,
      `insert into ${table} (${list}) overriding system value select ${list} from saved_${table}`,
    );
  }

  for (const { id, statement, besides = [] } of BREAKS) {
    await byHand(fleet, statement(tasks));
    const named = await broken(fleet);
    await byHand(fleet, restores.join("; "));

    expect(named).toContain(id);
    expect(named.filter((one) => one !== id && !besides.includes(one))).toEqual([]);
  }
  expect(await broken(fleet)).toEqual([]);
});

test("the scheduled check reports a broken invariant as an alert", async () => {
  await using fleet = await testFleet();
  const { live } = await someTasks(fleet);
  await forceStatus(fleet, [live], "cancelled", {});

  await watchInvariants(fleet.fleet);

  const alerts = fleet.logged.filter(({ facts }) => facts["event"] === "GOVERNANCE_ALERT");
  expect(alerts.map(({ facts }) => facts["invariant"])).toEqual(expect.arrayContaining(["INV-016", "INV-018"]));
  expect(alerts.every(({ level }) => level === "error")).toBe(true);
});

test.each([
  ["an entry that was changed", "update audit_log set detail = '{}' where task_id = $1 and seq = 3", 3],
  ["an entry that was taken out", "delete from audit_log where task_id = $1 and seq = 3", 3],
  ["an end that was cut off", "delete from audit_log where task_id = $1 and seq >= 4", 4],
])("%s is found, and the first broken entry is named", async (_what, statement, seq) => {
  await using fleet = await testFleet();
  const { live, ended } = await someTasks(fleet);
  const whole = await verifyAudit(fleet.fleet, SYSTEM);
  await byHand(fleet, statement.replace("$1", `'${live}'`));

  const all = await verifyAudit(fleet.fleet, SYSTEM);
  const one = await verifyAudit(fleet.fleet, SYSTEM, live);
  const other = await verifyAudit(fleet.fleet, SYSTEM, ended);

  expect(whole).toMatchObject({ ok: true, broken: [] });
  expect(whole.chains).toBeGreaterThanOrEqual(2);
  expect(all).toMatchObject({ ok: false, broken: [{ taskId: live, seq }] });
  expect(one.broken).toEqual(all.broken);
  expect(other).toMatchObject({ ok: true, chains: 1 });
});
