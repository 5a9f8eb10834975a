/** gc: prunes what is past retention, and nothing else. */
import { expect, test } from "vitest";
import { gcProcessor } from "../../processors/gc.ts";
import { expectRefusal, signal } from "./jobs.ts";
import { aRun } from "../support/collected.ts";
import { testFleet } from "../support/fleet.ts";

test("published hints of this morning and events of last month are removed; the rest stays", async () => {
  await using fleet = await testFleet();
  const task = await fleet.spawn(await fleet.operator(), { repository: await fleet.aRepository() });
  await fleet.runUntil(task.id, "ready");
  const before = await fleet.query("select topic, count(*)::int as n from outbox group by topic order by topic");
  await fleet.query(
    "update outbox set processed_at = now() - interval '7 hours', created_at = now() - interval '7 hours'",
  );
  await fleet.query(
    "update outbox set processed_at = now() - interval '8 days', created_at = now() - interval '8 days' where id = (select min(id) from outbox where topic = 'event')",
  );

  await gcProcessor.handle(fleet.fleet, { what: "rows" }, signal);

  const events = Number(before.find(({ topic }) => topic === "event")?.["n"]);
  expect(await fleet.query("select topic, count(*)::int as n from outbox group by topic")).toEqual([
    { topic: "event", n: events - 1 },
  ]);
});

test("old ended tasks and orders are removed with their rows; files on disk stay, and the audit log too", async () => {
  await using fleet = await testFleet({ settings: { gc: { keepRowsDays: 30 } } });
  const by = await fleet.operator();
  const repository = await fleet.aRepository();
  const old = await fleet.spawn(by, { repository });
  const recent = await fleet.spawn(by, { repository });
  await fleet.query(
    "update fleet_tasks set status = 'cancelled', completed_at = now() - interval '31 days' where id = $1",
    [old.id],
  );
  const [collected, kept] = [await aRun(fleet, { hours: 24 * 40 }), await aRun(fleet, { hours: 24 * 40 })];
  await fleet.query("update runs set collected_at = now() where id = $1", [collected]);
  await fleet.query(
    "insert into gc_reports (id, host, asked_by, ask, asked_at) values (gen_random_uuid(), 'here', 'ada', '{}', now() - interval '31 days')",
  );

  await gcProcessor.handle(fleet.fleet, { what: "rows" }, signal);

  expect(await fleet.query("select id from fleet_tasks")).toEqual([{ id: recent.id }]);
  expect(await fleet.query("select id from runs")).toEqual([{ id: kept }]);
  expect(await fleet.query("select run_id from artifacts")).toEqual([{ run_id: kept }]);
  expect(await fleet.query("select id from gc_reports")).toEqual([]);
  expect(await fleet.query("select id from audit_log where task_id = $1", [old.id])).not.toEqual([]);
});

test("an unknown kind of pruning is refused", async () => {
  await using fleet = await testFleet();

  await expectRefusal(fleet, gcProcessor, { what: "everything" }, "what");
});
