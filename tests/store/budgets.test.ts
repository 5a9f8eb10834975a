/**
 * Budgets and caps at admission: exact under any number of callers; and usage that only grows and is counted once.
 */
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import type { OwnerBudget } from "../../src/domain/budget.ts";
import type { Operator } from "../../src/domain/operator.ts";
import { WHOLE_TENANT } from "../../src/domain/tenant.ts";
import { findReachedCap, listBudgets, upsertBudget, recordUsage } from "../../src/store/budgets.ts";
import { pruneSpending } from "../../src/store/retention.ts";
import { admitTask } from "../../src/store/tasks.ts";
import { aNewTask, anEvent } from "../support/builders.ts";
import { testStore, type TestStore } from "../support/store.ts";

const NONE: OwnerBudget = {
  tokens: null,
  cost: null,
  minutes: null,
  dailyTokens: null,
  dailyCost: null,
  dailyTasks: null,
};

function give(world: TestStore, { id, tenantId }: Operator, budget: Partial<OwnerBudget>, whole = false) {
  const operatorId = whole ? WHOLE_TENANT : id;
  return world.store.asSystem((tx) => upsertBudget(tx, { ...NONE, ...budget, tenantId, operatorId, by: "root" }));
}

/** Runs as a request, so that row security and grants apply. */
function ask(world: TestStore, by: Operator, more: Parameters<typeof aNewTask>[1] = {}) {
  return world.store.as(by, (tx) => admitTask(tx, aNewTask(by, more), { limit: 1_000, hints: [], event: anEvent() }));
}

test("of 200 requests at once by two operators of a tenant exactly as many are admitted as the daily caps allow", async () => {
  await using world = await testStore();
  const ann = await world.operator();
  const bob = await world.operator({ tenantId: ann.tenantId });
  const stranger = await world.operator();
  await give(world, ann, { dailyTasks: 5 });
  await give(world, ann, { dailyTasks: 12 }, true);

  const asked = await Promise.all(Array.from({ length: 200 }, (_, n) => ask(world, n % 2 ? ann : bob)));
  const outcomes = asked.map(({ outcome }) => outcome);

  expect(outcomes.filter((outcome) => outcome === "admitted")).toHaveLength(12);
  expect(outcomes.filter((outcome) => outcome === "capped")).toHaveLength(188);
  const [{ n } = { n: 0 }] = await world.query("select count(*)::int as n from fleet_tasks where operator_id = $1", [
    ann.id,
  ]);
  expect(n).toBeLessThanOrEqual(5);
  expect(await world.query("select operator_id, tasks from spending where operator_id = '*'")).toEqual([
    { operator_id: "*", tasks: 12 },
  ]);
  expect(await world.query("select sum(active)::int as held from slots")).toEqual([{ held: 12 }]);
  expect((await ask(world, bob)).cap).toMatchObject({
    scope: "tenant",
    what: "tasks",
    daily: true,
    limit: 12,
    used: 12,
  });
  expect((await ask(world, stranger)).outcome).toBe("admitted");
});

test("a cap that is set during the day counts the tasks before it, and admits up to the rest", async () => {
  await using world = await testStore();
  const ann = await world.operator();
  for (let n = 0; n < 3; n += 1) await ask(world, ann);

  await give(world, ann, { dailyTasks: 4 });

  expect((await ask(world, ann)).outcome).toBe("admitted");
  expect((await ask(world, ann)).outcome).toBe("capped");
});

test("usage only grows, and is counted once over all attempts, however often and by however many processes it is reported", async () => {
  await using world = await testStore();
  const ann = await world.operator();
  const task = await world.task(ann, "running");
  const begin = (attempt: number) =>
    world.query(
      `insert into attempts (task_id, attempt, tenant_id, operator_id, dispatch_id, host, agent_type, running_at)
       values ($1, $2, $3, $4, $5, 'host-1', 'stub', now() - interval '90 seconds')`,
      [task.id, attempt, ann.tenantId, ann.id, randomUUID()],
    );
  const report = (attempt: number, tokens: number, cost: number | null = null) =>
    world.store.asSystem((tx) => recordUsage(tx, [{ taskId: task.id, attempt, usage: { tokens, cost } }]));
  await begin(0);
  await begin(1);

  await Promise.all(Array.from({ length: 20 }, () => report(0, 700, 0.5)));
  await report(0, 300);
  await Promise.all([report(1, 100), report(1, 200), report(1, 150)]);

  const { spend } = await world.read(task.id);
  expect(spend).toMatchObject({ tokens: 900, cost: 0.5 });
  expect(spend["minutes"]).toBeCloseTo(3, 0);
  const sums = await world.query(
    "select operator_id = '*' as whole, period = 'ever' as ever, tokens, cost from spending",
  );
  expect(sums).toHaveLength(4);
  for (const sum of sums) expect(sum).toMatchObject({ tokens: 900, cost: 0.5 });
});

test("old days are deleted, the totals of all time are not", async () => {
  await using world = await testStore();
  await world.query(`insert into spending (tenant_id, operator_id, period) select 't', 'o', period
    from (values ('ever'), ('2020-02-29'), (fleet_today())) as p(period)`);

  expect(await world.store.asSystem((tx) => pruneSpending(tx, 90))).toBe(1);
  expect(await world.query("select count(*)::int as n from spending")).toEqual([{ n: 2 }]);
});

test("a budget that is used up, or too small for the task, refuses it; a request sees its own tenant's budgets alone", async () => {
  await using world = await testStore();
  const [ann, stranger] = [await world.operator(), await world.operator()];
  await give(world, ann, { tokens: 1_000, cost: 10 });
  await world.query("insert into spending (tenant_id, operator_id, period, tokens) values ($1, $2, 'ever', 900)", [
    ann.tenantId,
    ann.id,
  ]);

  expect((await ask(world, ann, { budget: { tokens: 101 } })).cap).toMatchObject({ what: "tokens", used: 900 });
  expect((await ask(world, ann, { budget: { tokens: 100 } })).outcome).toBe("admitted");
  await world.query("update spending set tokens = 1000");
  expect((await ask(world, ann)).cap).toMatchObject({ scope: "operator", what: "tokens", daily: false });
  const usedUp = (by: Operator) => world.store.asSystem((tx) => findReachedCap(tx, { ...by, operatorId: by.id }));
  expect(await usedUp(ann)).toMatchObject({ what: "tokens" });
  expect(await usedUp(stranger)).toBeUndefined();
  expect(await world.store.as(stranger, (tx) => listBudgets(tx))).toEqual([]);
  await expect(world.store.as(ann, (tx) => tx.run`update spending set tokens = 0`)).rejects.toThrow(
    "permission denied",
  );
});
