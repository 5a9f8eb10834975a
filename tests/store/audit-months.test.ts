/** The audit log by months: made ahead, also over a log that was filled before; written, read, checked and guarded as one. */
import { expect, test } from "vitest";
import { tendAuditMonths } from "../../src/conductor/audit-months.ts";
import { makeCheckpoint } from "../../src/conductor/checkpoints.ts";
import { verifyAudit } from "../../src/conductor/audit.ts";
import { WORKER } from "../../src/store/store.ts";
import { testFleet, type TestFleet } from "../support/fleet.ts";

const partitions = async ({ query }: TestFleet) =>
  (await query(
    `select c.relname as name, c.relrowsecurity and c.relforcerowsecurity as secure, pg_get_expr(c.relpartbound, c.oid) as bound,
       pg_get_userbyid(c.relowner) as owner
     from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'audit_log'::regclass order by 1`,
  )) as { name: string; secure: boolean; bound: string; owner: string }[];

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
    task = await fleet.fleet.store.transitions.move(WORKER, { task, actor: "test", action, detail: {} });
  };
  for (const action of ["test.one", "test.two"]) await write(action);
  return { task, write };
}

test("a filled log keeps its rows where they are, and the months to come are there before they begin", async () => {
  await using fleet = await testFleet();
  const { task, write } = await aFilledLog(fleet);
  await makeCheckpoint(fleet.fleet);
  const [before] = await fleet.query("select count(*)::int as n from audit_log");

  expect([await tendAuditMonths(fleet.fleet), fleet.logged]).toEqual([true, []]);
  expect(await tendAuditMonths(fleet.fleet)).toBe(true);

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
  expect(await verifyAudit(fleet.fleet, WORKER)).toMatchObject({ ok: true, checkpoint: { broken: [] } });
  for (const { name } of made) {
    for (const statement of [`update ${name} set actor = 'x'`, `delete from ${name}`, `truncate ${name}`]) {
      const outcome = await fleet.query(statement).then(
        () => "went",
        (error: unknown) => String(error),
      );
      // An empty table has no row for which a trigger could say no.
      expect(outcome).toMatch(
        statement.startsWith("truncate") || name.endsWith("before") ? /append-only/ : /went|append-only/,
      );
    }
  }
  expect(task.id).toBeTruthy();
});

test("an empty log begins with this month, and what comes later goes into the month of its time", async () => {
  await using fleet = await testFleet();
  expect(await tendAuditMonths(fleet.fleet)).toBe(true);

  expect((await partitions(fleet)).map(({ name }) => name)).toEqual(
    [...[0, 1, 2, 3].map((n) => `audit_log_${monthOf(n)}`), "audit_log_rest"].toSorted(),
  );
  await aFilledLog(fleet);
  expect(await fleet.query(`select count(*)::int as n from only audit_log_${monthOf(0)}`)).toEqual([{ n: 3 }]);
});

test("a large log is looked through beforehand, in steps of their own, and nothing is refused meanwhile", async () => {
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
  expect(await tendAuditMonths(fleet.fleet)).toBe(true);
  await write("test.five");

  expect(await verifyAudit(fleet.fleet, WORKER)).toMatchObject({ ok: true });
});

test("a request may not make months", async () => {
  await using fleet = await testFleet();

  await expect(fleet.query("begin; set local role fleet_app; select fleet_audit_months(3)")).rejects.toThrow(
    "permission",
  );
  await fleet.query("rollback");
});
