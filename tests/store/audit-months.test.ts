/**
 * The audit log in monthly partitions: created ahead, also over an existing log; written, read, verified and
 * protected as one table.
 */
import { Client } from "pg";
import { expect, test } from "vitest";
import { z } from "zod";
import { dropOldMonth, ensureAuditMonths } from "../../src/conductor/audit/months.ts";
import { createCheckpoint } from "../../src/conductor/audit/checkpoints.ts";
import { verifyAudit } from "../../src/conductor/audit/verify.ts";
import { exportAudit } from "../../src/conductor/audit/read.ts";
import { auditOperator } from "../../src/store/operators.ts";
import { eventually } from "../support/eventually.ts";
import { testFleet, type TestFleet } from "../support/fleet.ts";
import { SYSTEM } from "../../src/store/principal.ts";

const Partition = z.object({ name: z.string(), secure: z.boolean(), bound: z.string(), owner: z.string() });

const partitions = async ({ query }: TestFleet) => {
  const rows = await query(
    `select c.relname as name, c.relrowsecurity and c.relforcerowsecurity as secure, pg_get_expr(c.relpartbound, c.oid) as bound,
       pg_get_userbyid(c.relowner) as owner
     from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'audit_log'::regclass order by 1`,
  );
  return z.array(Partition).parse(rows);
};

async function clientOf({ databaseUrl }: TestFleet) {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() });
}

const monthOf = (ahead: number) => {
  const now = new Date();
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + ahead))
    .toISOString()
    .slice(0, 7)
    .replace("-", "_");
};

async function aFilledLog(fleet: TestFleet) {
  const by = await fleet.operator({ tier: "architect" });
  const repository = await fleet.aRepository();
  let task = await fleet.spawn(by, { repository });
  const write = async (action: string) => {
    task = await fleet.fleet.store.transitions.transition(SYSTEM, { task, actor: "test", action, detail: {} });
  };
  for (const action of ["test.one", "test.two"]) await write(action);
  return { task, write };
}

test("an existing log keeps its rows in place, and the coming months are created before they begin", async () => {
  await using fleet = await testFleet();
  const { task, write } = await aFilledLog(fleet);
  await createCheckpoint(fleet.fleet);
  const [before] = await fleet.query("select count(*)::int as n from audit_log");

  expect([await ensureAuditMonths(fleet.fleet), fleet.logged]).toEqual([true, []]);
  expect(await ensureAuditMonths(fleet.fleet)).toBe(true);

  const made = await partitions(fleet);
  expect(made.map(({ name }) => name)).toEqual(
    [
      `audit_log_${monthOf(0)}_and_before`,
      ...[1, 2, 3].map((n) => `audit_log_${monthOf(n)}`),
      "audit_log_rest",
    ].toSorted(),
  );
  expect(made.every(({ secure, owner }) => secure && owner === "fleet_owner")).toBe(true);
  await write("test.three");
  expect(await fleet.query("select count(*)::int as n from audit_log")).toEqual([{ n: Number(before?.["n"]) + 1 }]);
  expect(await fleet.query("select count(*)::int as n from only audit_log_rest")).toEqual([{ n: 0 }]);
  expect(await verifyAudit(fleet.fleet, SYSTEM)).toMatchObject({ ok: true, checkpoint: { broken: [] } });
  for (const { name } of made) {
    for (const statement of [`update ${name} set actor = 'x'`, `delete from ${name}`, `truncate ${name}`]) {
      const outcome = await fleet.query(statement).then(
        () => "went",
        (error: unknown) => String(error),
      );
      // An empty table has no row for which a trigger could refuse.
      expect(outcome).toMatch(
        statement.startsWith("truncate") || name.endsWith("before") ? /append-only/ : /went|append-only/,
      );
    }
  }
  expect(task.id).toBeTruthy();
});

test("an empty log begins with this month, and later entries go into the month of their time", async () => {
  await using fleet = await testFleet();
  expect(await ensureAuditMonths(fleet.fleet)).toBe(true);

  expect((await partitions(fleet)).map(({ name }) => name)).toEqual(
    [...[0, 1, 2, 3].map((n) => `audit_log_${monthOf(n)}`), "audit_log_rest"].toSorted(),
  );
  await aFilledLog(fleet);
  expect(await fleet.query(`select count(*)::int as n from only audit_log_${monthOf(0)}`)).toEqual([{ n: 3 }]);
  const asRequest = fleet.query("begin; set local role fleet_app; select fleet_audit_months(3)");
  await expect(asRequest).rejects.toThrow("permission");
  await fleet.query("rollback");
});

test("a writer waits while the months are created, and is not refused", async () => {
  await using fleet = await testFleet();
  const { id } = await fleet.operator();
  await using maker = await clientOf(fleet);
  await maker.query("begin; set local role fleet_worker; select fleet_audit_months(3)");

  const entry = { operatorId: id, actor: id, action: "test.written", detail: {} };
  const written = fleet.fleet.store.asSystem((tx) => auditOperator(tx, entry));
  await eventually(async () => {
    const waiting =
      "select 1 from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())";
    return (await fleet.query(waiting)).length > 0 || undefined;
  });
  await maker.query("commit");
  await written;

  expect(
    await fleet.query("select tableoid::regclass::text as month from audit_log where action = 'test.written'"),
  ).toEqual([{ month: `audit_log_${monthOf(0)}` }]);
});

test("a large log is scanned beforehand in separate steps, and no write is refused meanwhile", async () => {
  await using fleet = await testFleet();
  const { write } = await aFilledLog(fleet);
  const step = () => fleet.query("begin; set local role fleet_worker; select fleet_audit_months(3, 0); commit");
  const checks = () =>
    fleet.query("select convalidated as valid from pg_constraint where conname = 'audit_log_rest_is_past'");

  await step();
  expect(await checks()).toEqual([{ valid: false }]);
  await write("test.three");
  await step();
  expect(await checks()).toEqual([{ valid: true }]);
  await write("test.four");
  await step();
  expect(await checks()).toEqual([]);
  expect((await partitions(fleet)).map(({ name }) => name)).toEqual([
    `audit_log_${monthOf(1)}_and_before`,
    "audit_log_rest",
  ]);
  expect(await ensureAuditMonths(fleet.fleet)).toBe(true);
  await write("test.five");

  expect(await verifyAudit(fleet.fleet, SYSTEM)).toMatchObject({ ok: true });
});

const inMonths = (months: number) => {
  const now = new Date();
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + months, 15));
};

/** A log that was written a year ago, with one new entry for each task. */
async function anOldLog(settings: object) {
  const fleet = await testFleet({ settings: { gc: settings } });
  const { task, write } = await aFilledLog(fleet);
  const { write: writeOther } = await aFilledLog(fleet);
  await writeOther("test.three");
  // Makes the first entries a year old: hashes and heads are computed again.
  await fleet.query(`begin; set local session_replication_role = replica;
    alter table audit_log detach partition audit_log_rest; alter table audit_log_rest rename to audit_log_old;
    update audit_log_old set at = at - interval '1 year';
    update audit_log_old set hash = '';
    do $$ declare e record; begin
      for e in select * from audit_log_old order by id loop
        update audit_log_old o set hash = fleet_audit_hash(
          coalesce((select b.hash from audit_log_old b where b.chain = e.chain and b.seq = e.seq - 1), ''), e.seq, e.at, e.actor, e.action, e.detail)
        where o.id = e.id;
      end loop;
      update fleet_tasks t set audit_head = (select hash from audit_log_old a where a.task_id = t.id order by seq desc limit 1);
    end $$;
    commit`);
  await fleet.query(`
    alter table audit_log attach partition audit_log_old for values from (minvalue) to ('${inMonths(-10).toISOString().slice(0, 7)}-01Z');
    set role fleet_owner; create table audit_log_rest partition of audit_log default; select fleet_audit_guard('audit_log_rest'); reset role`);
  const fresh = await fleet.read(task.id);
  const now = await fleet.fleet.store.transitions.transition(SYSTEM, {
    task: fresh,
    actor: "test",
    action: "test.now",
    detail: {},
  });
  return { fleet, task: now, write };
}

test("a month past retention is removed with a signed checkpoint, and the rest still verifies", async () => {
  const { fleet, task } = await anOldLog({ keepAuditMonths: 6 });
  await using _ = fleet;
  const root = await fleet.operator({ role: "admin", tenantId: task.tenantId });
  expect(await ensureAuditMonths(fleet.fleet)).toBe(true);

  expect(await dropOldMonth(fleet.fleet)).toMatchObject({ why: expect.stringContaining("it has not been exported") });
  await exportAudit(fleet.fleet, root, { all: true, limit: 5 });
  expect(await dropOldMonth(fleet.fleet)).toMatchObject({ retained: "audit_log_old" });
  await exportAudit(fleet.fleet, root, { all: true, limit: 100 });

  const outcome = await dropOldMonth(fleet.fleet);

  expect(outcome).toMatchObject({ dropped: "audit_log_old", chains: 2, entries: 7 });
  expect((await partitions(fleet)).map(({ name }) => name)).not.toContain("audit_log_old");
  expect(await dropOldMonth(fleet.fleet)).toBeUndefined();
  expect(await verifyAudit(fleet.fleet, SYSTEM)).toMatchObject({ ok: true, checkpoint: { broken: [] } });
  const { entries } = await exportAudit(fleet.fleet, root, { all: true, limit: 100 });
  expect(entries.map(({ action, seq }) => `${seq} ${action}`)).toContain("4 test.now");
  expect(entries.find(({ action }) => action === "test.now")?.previousHash).toMatch(/^[0-9a-f]{64}$/);
  expect(entries.map(({ action }) => action)).toContain("audit.month_dropped");
  await createCheckpoint(fleet.fleet);

  // Entries that were removed without a checkpoint are still reported.
  await fleet.query(
    `begin; set local session_replication_role = replica; delete from audit_log where task_id = '${task.id}'; commit`,
  );
  expect(await verifyAudit(fleet.fleet, SYSTEM)).toMatchObject({ ok: false, broken: [{ taskId: task.id, seq: 4 }] });
});

test("no month is removed while the log does not verify, before its time, or without a matching checkpoint", async () => {
  const { fleet, task } = await anOldLog({ keepAuditMonths: 6, auditExportFirst: false });
  await using _ = fleet;
  const drop = async (name: string) => {
    try {
      await fleet.query(`begin; set local role fleet_worker; select fleet_audit_drop_month('${name}', 1); commit`);
    } finally {
      await fleet.query("rollback");
    }
  };

  expect(
    await dropOldMonth({
      ...fleet.fleet,
      settings: { ...fleet.fleet.settings, gc: { ...fleet.fleet.settings.gc, keepAuditMonths: 12 } },
    }),
  ).toBeUndefined();
  await expect(drop("audit_log_old")).rejects.toThrow("no checkpoint names the removal of audit_log_old");
  await expect(drop("audit_log_rest")).rejects.toThrow("is not the oldest month");
  await expect(drop("fleet_tasks")).rejects.toThrow("is not the oldest month");
  await fleet.query(
    `begin; set local session_replication_role = replica; update audit_log set actor = 'x' where task_id = '${task.id}' and seq = 2; commit`,
  );

  expect(await dropOldMonth(fleet.fleet)).toEqual({
    retained: "audit_log_old",
    why: expect.stringContaining("does not verify"),
  });
  expect((await partitions(fleet)).map(({ name }) => name)).toContain("audit_log_old");
});
