/** Many transitions at once: few statements, a result for each caller, and no partial transition. */
import { randomUUID } from "node:crypto";
import * as fc from "fast-check";
import { Client } from "pg";
import { expect, test } from "vitest";
import { FleetError, StaleVersionError } from "../../src/domain/errors.ts";
import { SLOTS_BY_TIER } from "../../src/domain/operator.ts";
import {
  SLOT_HOLDING_STATUSES,
  TERMINAL_STATUSES,
  VALID_TRANSITIONS,
  type Task,
  type TaskStatus,
} from "../../src/domain/task/task.ts";
import * as invariants from "../../src/store/invariants.ts";
import { openStore } from "../../src/store/store.ts";
import { aHint, aNote, anEvent } from "../support/builders.ts";
import { testStore, type TestStore } from "../support/store.ts";
import { SYSTEM, asOperator } from "../../src/store/principal.ts";

const how = { actor: "test", action: "test.move" };

function stopping(task: Task) {
  return { task, to: "cancelled" as const, ...how, hints: [aHint(task)], events: [anEvent()], notes: [aNote()] };
}

test("200 transitions at once need only a handful of statements, and each caller gets its own version and epoch", async () => {
  await using world = await testStore();
  const operator = await world.operator();
  const tasks = await world.tasks(operator, 200, "running");
  const before = await transactionsOf(world);

  const moved = await Promise.all(
    tasks.map((task) => world.store.transitions.transition(SYSTEM, { task, to: "failed", ...how })),
  );

  expect((await transactionsOf(world)) - before).toBeLessThanOrEqual(6);
  for (const [index, after] of moved.entries()) {
    const task = tasks[index];
    expect(after).toMatchObject({
      id: task?.id,
      status: "failed",
      version: (task?.version ?? 0) + 1,
      epoch: (task?.epoch ?? 0) + 1,
    });
    expect(await world.read(after.id)).toEqual(after);
  }
});

test("of many transitions of one task at once exactly one succeeds, also from two processes", async () => {
  await using world = await testStore();
  const other = world.another();
  const operator = await world.operator();
  const task = await world.task(operator, "running");

  const outcomes = await Promise.allSettled(
    Array.from({ length: 20 }, (_, index) =>
      (index % 2 ? world.store : other).transitions.transition(SYSTEM, {
        task,
        to: index % 3 ? "failed" : "cancelled",
        ...how,
      }),
    ),
  );

  const lost = outcomes.filter((outcome) => outcome.status === "rejected");
  expect(lost).toHaveLength(19);
  expect(lost.every(({ reason }) => reason instanceof StaleVersionError)).toBe(true);
  expect(await world.read(task.id)).toMatchObject({ version: task.version + 1, epoch: task.epoch + 1 });
});

test("one invalid row among a hundred fails alone", async () => {
  await using world = await testStore();
  const operator = await world.operator();
  const tasks = await world.tasks(operator, 100, "running");

  const outcomes = await Promise.allSettled(
    tasks.map((task, index) =>
      world.store.transitions.transition(SYSTEM, {
        task,
        to: "failed",
        ...how,
        patch: index === 70 ? { retryCount: 11 } : {},
      }),
    ),
  );

  expect(outcomes.flatMap(({ status }, index) => (status === "rejected" ? [index] : []))).toEqual([70]);
  expect(outcomes[70]).toMatchObject({ reason: { code: "invalid-input" } });
  expect(await world.query("select count(*)::int as n from fleet_tasks where status = 'failed'")).toEqual([{ n: 99 }]);
});

test("transitions of two operators never share a statement, and neither can change the other's tasks", async () => {
  await using world = await testStore();
  const [ada, bob] = [await world.operator(), await world.operator()];
  const mine = await world.tasks(ada, 20, "running");
  const theirs = await world.tasks(bob, 20, "running");
  const asks = mine.flatMap((task, index) => {
    const other = theirs[index];
    return other
      ? [
          { on: ada, task },
          { on: bob, task: other },
          { on: ada, task: other },
        ]
      : [];
  });

  const outcomes = await Promise.allSettled(
    asks.map(({ on, task }) => world.store.transitions.transition(asOperator(on), { task, to: "failed", ...how })),
  );

  for (const [index, { on, task }] of asks.entries()) {
    const own = on.id === task.operatorId;
    // Whichever comes first: a foreign transition never succeeds, an own one always does.
    expect(outcomes[index]?.status).toBe(own ? "fulfilled" : "rejected");
  }
});

test("two processes that change the same tasks in opposite order do not deadlock", async () => {
  await using world = await testStore();
  const other = world.another();
  const operators = await Promise.all(Array.from({ length: 8 }, () => world.operator()));
  const tasks = await Promise.all(
    Array.from({ length: 120 }, (_, index) => world.task(operators[index % 8] ?? fail(), "running")),
  );

  for (const round of ["failed", "cancelled"] as const) {
    const now = await Promise.all(tasks.map(({ id }) => world.read(id)));
    const one = now.map((task) => world.store.transitions.transition(SYSTEM, { task, to: round, ...how }));
    const two = now.toReversed().map((task) => other.transitions.transition(SYSTEM, { task, to: round, ...how }));
    const outcomes = await Promise.allSettled([...one, ...two]);
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(120);
  }

  const [seen] = await world.query(
    "select pg_stat_force_next_flush(), deadlocks::int as deadlocks from pg_stat_database where datname = current_database()",
  );
  expect(seen?.["deadlocks"]).toBe(0);
});

test("a connection that breaks leaves each transition complete or not done, and its caller gets a known error", async () => {
  await using world = await testStore();
  const operator = await world.operator();
  const tasks = await world.tasks(operator, 120, "running");
  const killer = new Client({ connectionString: world.url });
  await killer.connect();
  const killing = { on: true };
  let cut = 0;
  const killed = (async () => {
    while (killing.on) {
      const { rowCount } = await killer.query(`select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name = 'fleetwright' and query like '%fleet_transition%' and state = 'active'`);
      cut += rowCount ?? 0;
    }
  })();

  const outcomes: PromiseSettledResult<Task>[] = [];
  for (let at = 0; at < tasks.length; at += 10) {
    outcomes.push(
      ...(await Promise.allSettled(
        tasks.slice(at, at + 10).map((task) => world.store.transitions.transition(SYSTEM, stopping(task))),
      )),
    );
  }
  killing.on = false;
  await killed;
  await killer.end();

  const errors = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason as unknown] : []));
  expect(cut).toBeGreaterThan(0);
  expect(errors.every((error) => error instanceof FleetError && error.code === "database-unavailable")).toBe(true);
  const halves = await world.query(`
    select t.id from fleet_tasks t
    where (t.status = 'cancelled') <> (select count(*) = 2 from audit_log a where a.chain = 'task:' || t.id)
      or (t.status = 'cancelled') <> exists (select from fleet_notifications n where n.task_id = t.id)
      or (t.status = 'cancelled') <> (select count(*) = 4 from outbox o where o.task_id = t.id)`);
  expect(halves).toEqual([]);
  const now = await Promise.all(tasks.map(({ id }) => world.read(id)));
  const reported = outcomes.map((outcome, index) => (outcome.status === "fulfilled" ? outcome.value : now[index]));
  expect(now).toEqual(reported);
  expect(await slotDrift(world)).toEqual([]);
});

test("when PostgreSQL is down, every caller of a full batch gets the error at once", async () => {
  await using world = await testStore();
  const operator = await world.operator();
  const task = await world.task(operator, "running");
  const nowhere = openStore({
    url: "postgres://nobody@127.0.0.1:1/nothing",
    maxConnections: 2,
    statementTimeoutMs: 5_000,
    onLostConnection: () => {},
  });

  const outcomes = await Promise.allSettled(
    Array.from({ length: 50 }, () =>
      nowhere.transitions.transition(SYSTEM, { task: { ...task, id: randomUUID() }, to: "failed", ...how }),
    ),
  );
  await Promise.all([nowhere.close(), nowhere.close()]);

  for (const outcome of outcomes)
    expect(outcome).toMatchObject({ status: "rejected", reason: { code: "database-unavailable" } });
});

test("a channels setting that is not a list stops no transition, and an empty one suppresses no end-of-task notification", async () => {
  await using world = await testStore();
  for (const value of ['"discord"', "[]", "{}", "7"]) {
    const operator = await world.operator();
    await world.query(
      "insert into fleet_config (tenant_id, operator_id, key, value, updated_by) values ($1, $2, 'notify.channels', $3, 'test')",
      [operator.tenantId, operator.id, value],
    );
    const task = await world.task(operator, "running");

    await world.store.transitions.transition(SYSTEM, stopping(task));

    const rows = await world.query("select channel from fleet_notifications where task_id = $1", [task.id]);
    expect(rows).toEqual([{ channel: "terminal" }]);
  }
});

test("after concurrent transitions by several processes every invariant holds", async () => {
  await using world = await testStore();
  const other = world.another();
  const operators = await Promise.all(Array.from({ length: 3 }, () => world.operator()));

  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(), fc.nat(), fc.boolean()), { minLength: 40, maxLength: 80 }),
      async (storm) => {
        const tasks = await Promise.all(
          Array.from({ length: 12 }, (_, index) => world.task(operators[index % 3] ?? fail(), "proposed")),
        );
        for (let at = 0; at < storm.length; at += 20) {
          const known = new Map(await Promise.all(tasks.map(async ({ id }) => [id, await world.read(id)] as const)));
          await Promise.allSettled(
            storm.slice(at, at + 20).map(async ([which, way, second]) => {
              const task = known.get(tasks[which % tasks.length]?.id ?? "") ?? fail();
              const ways = VALID_TRANSITIONS[task.status].filter((to) => to !== "retrying");
              const to = ways[way % Math.max(ways.length, 1)];
              return to
                ? (second ? other : world.store).transitions.transition(SYSTEM, {
                    ...stopping(task),
                    to,
                    ...spawned(to),
                  })
                : undefined;
            }),
          );
        }
      },
    ),
    { numRuns: 6 },
  );

  expect(await violations(world)).toEqual([]);
});

function spawned(to: TaskStatus) {
  return to === "spawning" ? { patch: { host: "host-1", dispatchId: "0199b3a0-0000-4000-8000-000000000001" } } : {};
}

async function violations({ store }: TestStore): Promise<string[]> {
  return store.asSystem(async (tx) => {
    const found = [
      await invariants.listOverTierSlots(tx, { ...SLOTS_BY_TIER, sovereign: 1_000 }),
      await invariants.listUnregisteredAgents(tx),
      await invariants.listUnauditedEnds(tx, TERMINAL_STATUSES),
      await invariants.listOverRetriedTasks(tx),
      await invariants.listUnnotifiedEnds(tx, TERMINAL_STATUSES),
      await invariants.listDuplicateAttempts(tx, 0),
      await invariants.listDuplicateEffects(tx),
      await invariants.listSlotMismatches(tx, SLOT_HOLDING_STATUSES),
      await invariants.listIllegalTransitions(tx, VALID_TRANSITIONS),
    ];
    return found.flat();
  });
}

async function slotDrift({ store }: TestStore): Promise<string[]> {
  return store.asSystem((tx) => invariants.listSlotMismatches(tx, SLOT_HOLDING_STATUSES));
}

/** Distinct transactions that wrote audit entries: with group commit one per batch. */
async function transactionsOf({ query }: TestStore): Promise<number> {
  const [row] = await query("select count(distinct xmin::text)::int as n from audit_log where action = 'test.move'");
  return Number(row?.["n"]);
}

function fail(): never {
  throw new Error("Not found.");
}
