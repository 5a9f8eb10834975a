/** monitor: the check that a job names, and no other. */
import { expect, test } from "vitest";
import { monitorProcessor } from "../../processors/monitor.ts";
import { expectRefusal, signal } from "./jobs.ts";
import { testFleet } from "../support/fleet.ts";

test("a sweep of a shard, a reconciliation and the invariants can be requested", async () => {
  await using fleet = await testFleet();

  for (const payload of [{ kind: "sweep", shard: 0, of: 1 }, { kind: "reconcile" }, { kind: "invariants" }]) {
    await monitorProcessor.handle(fleet.fleet, payload, signal);
  }

  expect(fleet.logged).toEqual([]);
});

test("the two shards of a sweep cover every live task, each one once", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const repository = await fleet.aRepository();
  const tasks = await Promise.all([1, 2, 3, 4].map(() => fleet.spawn(by, { repository })));
  await fleet.processHints();
  await fleet.tick();

  // Facts say that each agent is done: the process that sweeps it opens its pull request.
  for (const shard of [0, 1]) await monitorProcessor.handle(fleet.fleet, { kind: "sweep", shard, of: 2 }, signal);
  for (const task of tasks) await fleet.runUntil(task.id, ["pr_created", "reviewing", "ready"]);

  expect(await fleet.query("select count(*)::int as n from pull_requests")).toEqual([{ n: 4 }]);
});

test("an unknown check is refused", async () => {
  await using fleet = await testFleet();

  await expectRefusal(fleet, monitorProcessor, { kind: "away" }, "kind");
  await expectRefusal(fleet, monitorProcessor, { kind: "sweep", shard: -1, of: 2 }, "shard");
});
