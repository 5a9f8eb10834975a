/** When slots are short: tenants take turns, over real claims of several hosts at once. */
import { expect, test } from "vitest";
import { queuePositions } from "../../../src/conductor/tasks/slots.ts";
import { getTaskDetails } from "../../../src/conductor/tasks/find.ts";
import { SpawnError } from "../../../src/domain/errors.ts";
import { testFleet, type TestFleet } from "../../support/fleet.ts";
import { manyTasks, forceStatus } from "../../support/store.ts";

const GREEDY = 200;

/** Two hosts of one slot each, on which every attempt ends at its first step, so that the next task is offered the slot. */
async function twoHosts(fleet: TestFleet) {
  const agents = {
    ...fleet.fleet.agents,
    prepareWorkspace: () => Promise.reject(new SpawnError("WORKSPACE_FAILED", "workspace", "Ended by the test.")),
  };
  const hosts = await Promise.all(
    ["there", "yonder"].map((id) => fleet.another({ env: { FLEET_HOST_ID: id, FLEET_SLOTS: "1" }, parts: { agents } })),
  );
  for (const host of hosts) await fleet.tick(host);
  return hosts;
}

test("when a tenant with many tasks is followed by nine with one task each, each of the nine starts within one round", async () => {
  await using fleet = await testFleet({ slots: 0 });
  const greedy = await fleet.operator({ tier: "sovereign" });
  const line = await manyTasks(
    fleet.fleet.store,
    { url: fleet.databaseUrl, ...fleet },
    { operator: greedy, count: GREEDY, status: "proposed" },
  );
  const inLine = { condition: "waiting_slot", condition_detail: { host: "there" } };
  await forceStatus(
    fleet,
    line.map(({ id }) => id),
    "proposed",
    inLine,
  );
  const repository = await fleet.aRepository();
  const modest = await Promise.all(Array.from({ length: 9 }, () => fleet.operator()));
  const theirs = await Promise.all(modest.map((by) => fleet.spawn(by, { repository, maxRetries: 0 })));
  await fleet.processHints();

  const places = await queuePositions(fleet.fleet);
  const last = await getTaskDetails(fleet.fleet, greedy, line.at(-1)?.id ?? "");
  const hosts = await twoHosts(fleet);
  const claims = () => fleet.query("select tenant_id from attempts order by started_at, task_id");
  for (let looks = 0; looks < 40 && (await claims()).length < 20; looks += 1) {
    await Promise.all(hosts.map((host) => fleet.processHints(host)));
    await Promise.all(hosts.map((host) => fleet.tick(host)));
  }
  const tenants = (await claims()).map(({ tenant_id: tenant }) => tenant);

  // One round is ten claims. For each host one claim may be in progress, and one more called, when a round begins or
  // ends.
  const round = tenants.slice(0, 10 + 2 * hosts.length);
  expect(modest.map(({ tenantId }) => round.filter((tenant) => tenant === tenantId).length)).toEqual(
    modest.map(() => 1),
  );
  expect(new Set(tenants.slice(round.length))).toEqual(new Set([greedy.tenantId]));
  expect([...places.values()].toSorted((a, b) => a - b)).toEqual(Array.from({ length: GREEDY + 9 }, (_, n) => n));
  expect(Math.max(...theirs.map(({ id }) => places.get(id) ?? -1))).toBe(9);
  expect(last.position).toBe(GREEDY + 8);
});
