/** Requesting a task: it is admitted with its hint, or refused, and never both. */
import { expect, test } from "vitest";
import { requestSpawn } from "../../../src/conductor/attempts/spawn.ts";
import { SpawnDeniedError } from "../../../src/domain/errors.ts";
import { SpawnRequest } from "../../../src/domain/task/spawn.ts";
import { testFleet, type TestFleet } from "../../support/fleet.ts";

const ask = (repository: string, more: Partial<SpawnRequest> = {}) =>
  SpawnRequest.parse({ repository, description: "Make a change.", agentType: "stub", ...more });

/** Asserts that a refused request left no task, no slot and no hint. */
async function expectNothing(fleet: TestFleet) {
  const [left] = await fleet.query(
    "select (select count(*) from fleet_tasks)::int as tasks, (select coalesce(sum(active), 0) from slots)::int as slots, (select count(*) from outbox)::int as hints",
  );
  expect(left).toEqual({ tasks: 0, slots: 0, hints: 0 });
}

test("a task is stored together with its slot, its hint, its event and its first audit entry", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();

  const { task, repeated } = await requestSpawn(fleet.fleet, by, ask(await fleet.aRepository()));

  expect(repeated).toBe(false);
  expect(task).toMatchObject({ status: "proposed", version: 1, epoch: 1, attempt: 0, waitingFor: "spawn" });
  expect(await fleet.query("select topic from outbox order by topic")).toEqual([
    { topic: "event" },
    { topic: "spawn" },
  ]);
  expect(await fleet.query("select active from slots")).toEqual([{ active: 1 }]);
  expect(await fleet.query("select action, actor from audit_log")).toEqual([{ action: "spawn.asked", actor: by.id }]);
});

test("of 200 requests at once by an operator with three slots exactly three are admitted", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator({ tier: "architect" });
  const request = ask(await fleet.aRepository());

  const outcomes = await Promise.allSettled(Array.from({ length: 200 }, () => requestSpawn(fleet.fleet, by, request)));

  const refusals = outcomes.flatMap((one) => (one.status === "rejected" ? [one.reason as unknown] : []));
  expect(refusals).toHaveLength(197);
  expect(refusals.filter((error) => !(error instanceof SpawnDeniedError))).toEqual([]);
  expect(refusals[0]).toMatchObject({ facts: { limit: 3, held: 3, tier: "architect" } });
  expect(await fleet.query("select count(*)::int as n from fleet_tasks")).toEqual([{ n: 3 }]);
  expect(await fleet.query("select active from slots")).toEqual([{ active: 3 }]);
  const denials = await fleet.query("select count(*)::int as n from audit_log where action = 'spawn.denied'");
  expect(denials).toEqual([{ n: 197 }]);
});

test("the same key and request return the existing task, ten times at once; another request with that key is refused", async () => {
  await using fleet = await testFleet();
  const [by, other] = [await fleet.operator(), await fleet.operator()];
  const request = ask(await fleet.aRepository());

  const made = await Promise.all(Array.from({ length: 10 }, () => requestSpawn(fleet.fleet, by, request, "key-1")));
  const changed = requestSpawn(fleet.fleet, by, { ...request, description: "Another." }, "key-1");

  await expect(changed).rejects.toMatchObject({ code: "idempotency-key-reused" });
  expect(new Set(made.map(({ task }) => task.id)).size).toBe(1);
  expect(made.filter(({ repeated }) => !repeated)).toHaveLength(1);
  expect(await fleet.query("select active from slots where operator_id = $1", [by.id])).toEqual([{ active: 1 }]);
  // A key is its operator's own.
  expect(await requestSpawn(fleet.fleet, other, request, "key-1")).toMatchObject({ repeated: false });
});

test.each([
  ["a repository that is not there", { repository: "/nowhere/at/all" }, "not-a-repository"],
  ["a relative path", { repository: "shop" }, "not-a-repository"],
  ["a base branch that is not there", { baseBranch: "no-such-branch" }, "branch-not-found"],
  ["a command agent without a command", { agentType: "command" as const }, "invalid-input"],
])("%s is refused, and the refusal leaves no trace", async (_what, more, code) => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const request = ask(await fleet.aRepository(), more);

  await expect(requestSpawn(fleet.fleet, by, request)).rejects.toMatchObject({ code });

  await expectNothing(fleet);
});

test("an unknown operator is refused", async () => {
  await using fleet = await testFleet();
  const stranger = { id: "eve", tenantId: "nowhere", tier: "sovereign" as const };

  const request = requestSpawn(fleet.fleet, stranger, ask(await fleet.aRepository()));

  await expect(request).rejects.toMatchObject({ code: "unauthenticated" });
  await expectNothing(fleet);
});

test("the routing table chooses the model, unless the request names one", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const repository = await fleet.aRepository();

  const routed = await requestSpawn(fleet.fleet, by, ask(repository, { agentType: "claude_code", taskType: "docs" }));
  const named = await requestSpawn(fleet.fleet, by, ask(repository, { agentType: "claude_code", model: "mine" }));

  expect(routed.task).toMatchObject({ model: "claude-sonnet-4-5", routingReason: "routing table" });
  expect(named.task).toMatchObject({ model: "mine", routingReason: "requested" });
});
