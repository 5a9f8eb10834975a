/** Budgets: one warning, tasks are stopped when they are used up, and nothing more starts before there is room. */
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { setBudget, watchBudgets } from "../../../src/conductor/watch/budgets.ts";
import { retryNow } from "../../../src/conductor/attempts/retry.ts";
import { AlertEvent } from "../../../src/domain/notify/alert.ts";
import { eventually } from "../../support/eventually.ts";
import { testFleet, type TestFleet } from "../../support/fleet.ts";
import { CapReachedError } from "../../../src/domain/budget.ts";

const ROOT = { id: "root", tenantId: "local", tier: "sovereign", role: "admin" } as const;

function use(fleet: TestFleet, taskId: string, tokens: number): void {
  const file = join(fleet.home, "attempts", taskId, "0", "usage.jsonl");
  appendFileSync(file, `${JSON.stringify({ tokens_in: tokens })}\n`);
}

async function noticesOf(fleet: TestFleet) {
  const rows = await fleet.query("select payload from outbox where topic = 'event' order by id");
  return rows
    .flatMap(({ payload }) => AlertEvent.safeParse(payload).data ?? [])
    .map(({ type, data }) => [type, data.state]);
}

async function notesOf(fleet: TestFleet) {
  const rows = await fleet.query("select type from fleet_notifications where type like 'budget%' order by created_at");
  return rows.map(({ type }) => type);
}

test("a task gets one warning at four fifths of its budget, and is stopped with all its processes when it is used up", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const repository = await fleet.aRepository();
  const task = await fleet.spawn(by, { repository, script: "spend:850", budget: { tokens: 1_000 } });
  await fleet.runUntil(task.id, "running");
  await eventually(async () => {
    await fleet.tick();
    return (await fleet.read(task.id)).spend["tokens"] === 850 || undefined;
  });
  for (let again = 0; again < 3; again += 1) await fleet.tick();

  expect(await fleet.read(task.id)).toMatchObject({ status: "running", metadata: { budgetWarned: ["tokens"] } });
  expect(await noticesOf(fleet)).toEqual([["BUDGET_WARNING", "raised"]]);
  expect(await notesOf(fleet)).toEqual(["budget_warning"]);

  use(fleet, task.id, 1_050);
  await fleet.tick();
  const failed = await fleet.read(task.id);
  await fleet.tick();

  expect(failed).toMatchObject({ status: "failed", spend: { tokens: 1_050 } });
  expect(failed.failureContext).toMatchObject({ class: "budget_exceeded" });
  expect(fleet.processesOf(task.id)).toEqual([]);
  expect(await notesOf(fleet)).toEqual(["budget_warning", "budget_exceeded"]);
  await expect(retryNow(fleet.fleet, failed, by)).rejects.toBeInstanceOf(CapReachedError);
  await fleet.processHints();
  expect(await fleet.read(task.id)).toMatchObject({ status: "failed", condition: "needs_input" });
});

test("a tenant without budget starts nothing more, its running tasks are stopped, and it continues when an admin raises it", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator({ tier: "architect" });
  await fleet.operator({ ...ROOT });
  const repository = await fleet.aRepository();
  await setBudget(fleet.fleet, ROOT, { tenantId: by.tenantId, change: { tokens: 1_000 } });
  const running = await fleet.spawn(by, { repository, script: "hang" });
  await fleet.runUntil(running.id, "running");
  const waiting = await fleet.spawn(by, { repository, script: "hang" });

  use(fleet, running.id, 1_200);
  await fleet.tick();
  await fleet.processHints();

  expect((await fleet.read(running.id)).failureContext).toMatchObject({ class: "budget_exceeded" });
  expect(await fleet.read(waiting.id)).toMatchObject({
    status: "proposed",
    condition: "waiting_slot",
    conditionDetail: { budget: { scope: "tenant", what: "tokens", limit: 1_000, used: 1_200 } },
  });
  await expect(fleet.spawn(by, { repository })).rejects.toMatchObject({
    code: "cap-reached",
    facts: { scope: "tenant", what: "tokens", limit: 1_000, used: 1_200, resetsAt: null },
  });
  expect(await Promise.all([watchBudgets(fleet.fleet), watchBudgets(fleet.fleet)])).toContain(1);
  expect(await watchBudgets(fleet.fleet)).toBe(0);
  expect(await noticesOf(fleet)).toEqual([["BUDGET_EXCEEDED", "raised"]]);

  await setBudget(fleet.fleet, ROOT, { tenantId: by.tenantId, change: { tokens: 100_000 } });
  const [{ due } = { due: null }] = await fleet.query("select due_at <= now() as due from fleet_tasks where id = $1", [
    waiting.id,
  ]);
  expect(due).toBe(true);
  expect((await fleet.spawn(by, { repository })).status).toBe("proposed");
  expect(
    await fleet.query("select action, detail->>'tokens' as tokens from audit_log where action = 'budget.set'"),
  ).toEqual([
    { action: "budget.set", tokens: "1000" },
    { action: "budget.set", tokens: "100000" },
  ]);
});
