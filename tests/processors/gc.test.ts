/** gc: prunes what is past its keeping, and nothing else. */
import { expect, test } from "vitest";
import { gcProcessor } from "../../processors/gc.ts";
import { expectRefusal, signal } from "./jobs.ts";
import { testFleet } from "../support/fleet.ts";

test("told hints of this morning and events of last month go; the rest stays", async () => {
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

  await gcProcessor.answer(fleet.fleet, { what: "rows" }, signal);

  const events = Number(before.find(({ topic }) => topic === "event")?.["n"]);
  expect(await fleet.query("select topic, count(*)::int as n from outbox group by topic")).toEqual([
    { topic: "event", n: events - 1 },
  ]);
});

test("what is not said to be pruned is refused", async () => {
  await using fleet = await testFleet();

  await expectRefusal(fleet, gcProcessor, { what: "everything" }, "what");
});
