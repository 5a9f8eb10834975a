/**
 * Admission: exact under any number of concurrent callers, one task per key, and the slot is returned however a task
 * ends.
 */
import { expect, test } from "vitest";
import { SLOT_HOLDING_STATUSES, TaskStatus, VALID_TRANSITIONS, type Task } from "../../src/domain/task/task.ts";
import type { Operator } from "../../src/domain/operator.ts";
import { upsertOperator } from "../../src/store/operators.ts";
import { admitTask, listSlotDrift, repairSlots, type Admission } from "../../src/store/tasks.ts";
import { readmitTask, transitionTask } from "../../src/store/transitions.ts";
import { aHint, aNewTask, anEvent, anOperator } from "../support/builders.ts";
import { testStore, type TestStore } from "../support/store.ts";
import { SYSTEM } from "../../src/store/principal.ts";

const how = { actor: "test", action: "test.move" };

test("of 200 requests at once by one operator exactly as many are admitted as the limit says", async () => {
  await using world = await testStore();
  const operator = await world.operator({ tier: "architect" });

  const outcomes = await Promise.all(Array.from({ length: 200 }, () => world.admit(operator, {}, 3)));

  expect(tally(outcomes)).toEqual({ admitted: 3, denied: 197 });
  expect(await heldBy(world, operator)).toBe(3);
  expect(await world.query("select count(*)::int as n from fleet_tasks")).toEqual([{ n: 3 }]);
});

test("1,000 requests of 20 operators through two processes reach every operator's limit exactly", async () => {
  await using world = await testStore();
  const other = world.another();
  const operators = await Promise.all(Array.from({ length: 20 }, () => world.operator()));

  await Promise.all(
    Array.from({ length: 1_000 }, (_, index) => {
      const operator = operators[index % 20] ?? anOperator();
      const limit = 1 + (index % 20);
      const task = aNewTask(operator);
      const store = index % 3 ? world.store : other;
      return store.as(operator, (tx) =>
        admitTask(tx, task, { limit, hints: [aHint({ id: task.id, epoch: 0 })], event: anEvent() }),
      );
    }),
  );

  for (const [index, operator] of operators.entries()) expect(await heldBy(world, operator)).toBe(1 + index);
  expect(await drift(world)).toEqual([]);
});

test("an admission stores the task, its audit entry, its hint and its event; a refusal only its audit entry", async () => {
  await using world = await testStore();
  const operator = await world.operator();

  const admitted = await world.admit(operator, {}, 1);
  const denied = await world.admit(operator, {}, 1);

  expect(admitted).toMatchObject({ outcome: "admitted", held: 1 });
  expect(denied).toEqual({ outcome: "denied", held: 1, taskId: null });
  expect(await world.query("select topic from outbox order by topic")).toEqual([
    { topic: "event" },
    { topic: "spawn" },
  ]);
  expect(await world.query("select chain, seq, action from audit_log order by chain")).toEqual([
    { chain: `operator:${operator.id}`, seq: 1, action: "spawn.denied" },
    { chain: `task:${admitted.taskId}`, seq: 1, action: "spawn.asked" },
  ]);
});

test("the same key 50 times at once creates one task; the same key for another request is refused", async () => {
  await using world = await testStore();
  const operator = await world.operator();
  const stranger = await world.operator();
  const same = { idempotencyKey: "key-1" };

  const outcomes = await Promise.all(Array.from({ length: 50 }, () => world.admit(operator, same, 3)));

  expect(tally(outcomes)).toEqual({ admitted: 1, repeated: 49 });
  expect(new Set(outcomes.map(({ taskId }) => taskId)).size).toBe(1);
  expect(await world.admit(operator, { ...same, requestHash: "f".repeat(64) }, 3)).toMatchObject({
    outcome: "key_reused",
  });
  expect(await world.admit(stranger, same, 3)).toMatchObject({ outcome: "admitted" });
  expect(await heldBy(world, operator)).toBe(1);
});

test("an unknown operator is not admitted", async () => {
  await using world = await testStore();

  expect(await world.admit(anOperator())).toEqual({ outcome: "unknown_operator", held: 0, taskId: null });
});

test("every transition updates the slot counter exactly when it enters or leaves a status that holds a slot", async () => {
  await using world = await testStore();
  const ways = TaskStatus.options.flatMap((from) => VALID_TRANSITIONS[from].map((to) => ({ from, to })));
  await Promise.all(
    ways.map(async ({ from, to }) => {
      const operator = await world.operator();
      const task = await world.task(operator, from);
      expect(await heldBy(world, operator), from).toBe(holds(from));
      const patch = { host: "host-1", dispatchId: "0199b3a0-0000-4000-8000-000000000001" };
      await world.store.transitions.transition(SYSTEM, { task, to, ...how, patch });
      expect(await heldBy(world, operator), `${from} to ${to}`).toBe(holds(to));
    }),
  );
  expect(ways).toHaveLength(29);
  expect(await drift(world)).toEqual([]);
});

test("one statement that ends tasks of many operators returns each operator's slots, and so does a deletion", async () => {
  await using world = await testStore();
  const operators = await Promise.all(Array.from({ length: 5 }, () => world.operator()));
  for (const operator of operators) for (let n = 0; n < 4; n += 1) await world.task(operator, "running");

  await world.query("update fleet_tasks set status = 'failed' where right(id::text, 1) < '8'");
  expect(await drift(world)).toEqual([]);
  await world.query("delete from fleet_tasks where right(id::text, 1) > 'a'");
  expect(await drift(world)).toEqual([]);
  await world.query("delete from fleet_tasks");
  for (const operator of operators) expect(await heldBy(world, operator)).toBe(0);
});

test("readmission applies the same limits: exact with many concurrent requests, and a refusal leaves no trace", async () => {
  await using world = await testStore();
  const operator = await world.operator();
  const failed = await world.tasks(operator, 20, "failed");
  const running = await world.task(operator, "running");

  const outcomes = await Promise.all(failed.map((task) => readmit(world, task, 4)));

  const admitted = outcomes.filter((task) => task !== undefined);
  expect(admitted).toHaveLength(3);
  expect(await heldBy(world, operator)).toBe(4);
  const now = await Promise.all(failed.map(({ id }) => world.read(id)));
  expect(now).toEqual(failed.map((before, index) => outcomes[index] ?? before));
  await world.store.transitions.transition(SYSTEM, { task: running, to: "failed", ...how });
  expect(await heldBy(world, operator)).toBe(3);
});

test("a readmission of a task that changed meanwhile takes no slot", async () => {
  await using world = await testStore();
  const operator = await world.operator();
  const task = await world.task(operator, "failed");

  await expect(readmit(world, { ...task, version: task.version - 1 }, 5)).rejects.toMatchObject({
    code: "stale-version",
  });
  expect(await heldBy(world, operator)).toBe(0);
});

test("readmissions and stops of the same operator's tasks do not deadlock", async () => {
  await using world = await testStore();
  const operator = await world.operator();
  for (let round = 0; round < 5; round += 1) {
    const failed = await world.tasks(operator, 10, "failed");
    const running = await world.tasks(operator, 10, "running");
    await Promise.allSettled([
      ...[...failed, ...running].map((task) =>
        world.store.transitions.transition(SYSTEM, { task, to: "cancelled", ...how }),
      ),
      ...failed.map((task) => readmit(world, task, 1_000)),
    ]);
  }

  const [seen] = await world.query(
    "select pg_stat_force_next_flush(), deadlocks::int as deadlocks from pg_stat_database where datname = current_database()",
  );
  expect(seen?.["deadlocks"]).toBe(0);
  expect(await drift(world)).toEqual([]);
});

test("a lowered tier ends no task; it only admits no new one until enough have ended", async () => {
  await using world = await testStore();
  const operator = await world.operator({ tier: "architect" });
  const tasks: Task[] = [];
  for (let n = 0; n < 3; n += 1) tasks.push(await world.task(operator, "running"));

  await world.store.asSystem((tx) => upsertOperator(tx, { ...operator, tier: "builder" }));

  expect(await heldBy(world, operator)).toBe(3);
  expect(await world.admit(operator, {}, 1)).toMatchObject({ outcome: "denied", held: 3 });
  for (const task of tasks) await world.store.asSystem((tx) => transitionTask(tx, { task, to: "failed", ...how }));
  expect(await world.admit(operator, {}, 1)).toMatchObject({ outcome: "admitted" });
});

test("the counter never becomes negative, and a wrong counter is found and corrected", async () => {
  await using world = await testStore();
  const operator = await world.operator();
  await world.task(operator, "running");

  await expect(world.query("update slots set active = -1")).rejects.toThrow("slots_active_not_negative");
  await world.query("update slots set active = 7");
  expect(await drift(world)).toEqual([{ operatorId: operator.id, active: 7, counted: 1 }]);
  await world.store.asSystem((tx) => repairSlots(tx, operator.id));
  expect(await drift(world)).toEqual([]);
});

function readmit(world: TestStore, task: Task, limit: number): Promise<Task | undefined> {
  return world.store.asSystem((tx) => readmitTask(tx, { task, to: "retrying", ...how }, limit));
}

async function heldBy(world: TestStore, operator: Operator): Promise<number> {
  const [slots] = await world.query("select active from slots where operator_id = $1", [operator.id]);
  return Number(slots?.["active"]);
}

function drift(world: TestStore) {
  return world.store.asSystem((tx) => listSlotDrift(tx));
}

function tally(outcomes: readonly Admission[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { outcome } of outcomes) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}

function holds(status: TaskStatus): number {
  return SLOT_HOLDING_STATUSES.some((one) => one === status) ? 1 : 0;
}
