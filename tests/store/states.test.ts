/** Every pair of statuses, tried on real rows: through the store, inside a transaction, and with raw SQL. */
import { randomUUID } from "node:crypto";
import { describe, expect, test, beforeAll, afterAll } from "vitest";
import { InvalidTransitionError, StaleVersionError } from "../../src/domain/errors.ts";
import { SLOT_HOLDING_STATUSES, TaskStatus, VALID_TRANSITIONS, type Task } from "../../src/domain/task/task.ts";
import { transitionTask } from "../../src/store/transitions.ts";
import type { Operator } from "../../src/domain/operator.ts";
import { testStore, type TestStore } from "../support/store.ts";
import { SYSTEM } from "../../src/store/principal.ts";

const states = TaskStatus.options;
const pairs = states.flatMap((from) => states.map((to) => ({ from, to, legal: VALID_TRANSITIONS[from].includes(to) })));

let world: TestStore;
let operator: Operator;
/** One task per status that never changes: stale and invalid transitions must leave it as it is. */
const resting = new Map<TaskStatus, Task>();

beforeAll(async () => {
  world = await testStore();
  operator = await world.operator();
  for (const state of states) resting.set(state, await world.task(operator, state));
});
afterAll(() => world[Symbol.asyncDispose]());

function rest(state: TaskStatus): Task {
  const task = resting.get(state);
  if (!task) throw new Error(`No task rests in ${state}.`);
  return task;
}

const how = { actor: "test", action: "test.move" };

/** A spawn begins an attempt, which has a host and a dispatch. */
function request(task: Task, to: TaskStatus) {
  return { task, to, ...how, ...(to === "spawning" ? { patch: { host: "host-1", dispatchId: randomUUID() } } : {}) };
}

describe.each([
  {
    way: "together with others",
    move: (task: Task, to: TaskStatus) => world.store.transitions.transition(SYSTEM, request(task, to)),
  },
  {
    way: "inside a transaction",
    move: (task: Task, to: TaskStatus) => world.store.asSystem((tx) => transitionTask(tx, request(task, to))),
  },
])("a transition $way", ({ move }) => {
  const tell = async (task: Task, to: TaskStatus): Promise<unknown> => {
    try {
      return (await move(task, to)).status;
    } catch (error) {
      return error;
    }
  };

  test("succeeds exactly where the table of transitions allows it", async () => {
    const outcomes = await Promise.all(
      pairs.map(async ({ from, to, legal }) => ({
        from,
        to,
        outcome: await tell(legal ? await world.task(operator, from) : rest(from), to),
      })),
    );

    const results = outcomes.map(
      ({ from, to, outcome }) =>
        `${from} to ${to}: ${outcome instanceof InvalidTransitionError ? "refused" : String(outcome)}`,
    );
    expect(results).toEqual(pairs.map(({ from, to, legal }) => `${from} to ${to}: ${legal ? to : "refused"}`));
    expect(outcomes).toHaveLength(144);
    expect(outcomes.filter(({ outcome }) => typeof outcome === "string")).toHaveLength(29);
  });

  test("with an old version never succeeds", async () => {
    const outcomes = await Promise.all(
      pairs.map(async ({ from, to, legal }) => {
        const task = rest(from);
        return { legal, outcome: await tell({ ...task, version: task.version + 1 }, to) };
      }),
    );

    for (const { legal, outcome } of outcomes) {
      expect(outcome).toBeInstanceOf(legal ? StaleVersionError : InvalidTransitionError);
    }
    for (const state of states) expect(await world.read(rest(state).id)).toEqual(rest(state));
  });

  test("from a status that the task has left never succeeds", async () => {
    const outcomes = await Promise.all(
      states.flatMap((believed) =>
        VALID_TRANSITIONS[believed].map((to) => {
          const elsewhere = rest(believed === "running" ? "reviewing" : "running");
          return tell({ ...elsewhere, status: believed }, to);
        }),
      ),
    );

    expect(outcomes.every((outcome) => outcome instanceof StaleVersionError)).toBe(true);
  });
});

test("the database itself refuses transitions that the table does not have, regardless of the role", async () => {
  for (const from of states) {
    const fresh = await world.task(operator, from);
    for (const to of states.filter((state) => state !== from)) {
      const ended = VALID_TRANSITIONS[to].length === 0 ? "now()" : "null";
      const code = await world
        .query(
          `begin; update fleet_tasks set status = '${to}', completed_at = ${ended} where id = '${fresh.id}'; rollback`,
        )
        .then(
          () => "done",
          async (error: { code: string }) => {
            await world.query("rollback");
            return error.code;
          },
        );
      expect(code, `${from} to ${to}`).toBe(VALID_TRANSITIONS[from].includes(to) ? "done" : "FW001");
    }
  }
});

test("the database's trigger lists exactly the transitions of the table", async () => {
  const [guard] = await world.query("select prosrc from pg_proc where proname = 'fleet_guard_status'");
  const listed = [...String(guard?.["prosrc"]).matchAll(/'(\w+>\w+)'/g)].map(([, way]) => way);

  expect(listed.map(String).toSorted()).toEqual(
    pairs
      .filter(({ legal }) => legal)
      .map(({ from, to }) => `${from}>${to}`)
      .toSorted(),
  );
});

test("the statuses that hold a slot are the same in the database and in the code", async () => {
  const rows = await world.query("select s from unnest($1::text[]) as s where fleet_holds_slot(s)", [states]);

  expect(rows.map((row) => String(row["s"])).toSorted()).toEqual([...SLOT_HOLDING_STATUSES].toSorted());
});

test("an unknown status and a retry beyond the limit are refused as invalid input, not stored", async () => {
  const task = await world.task(operator, "running");
  const patched = world.store.transitions.transition(SYSTEM, {
    task,
    ...how,
    patch: { retryCount: task.maxRetries + 1 },
  });

  await expect(patched).rejects.toMatchObject({ code: "invalid-input" });
  await expect(world.query("update fleet_tasks set status = 'lost' where id = $1", [task.id])).rejects.toThrow(
    /FW001|cannot go/,
  );
  expect(await world.read(task.id)).toEqual(task);
});

test("a row with an unknown agent type is refused when it is read: the program knows the types, not the table", async () => {
  const task = await world.task(operator, "running");
  await world.query("update fleet_tasks set agent_type = 'gpt' where id = $1", [task.id]);

  await expect(world.read(task.id)).rejects.toThrow("agentType");
});

test("text that the database cannot store is refused as invalid input and leaves nothing", async () => {
  const task = await world.task(operator, "running");
  const hostile = [{ reason: "a\u0000b" }, { reason: "\ud800" }];

  for (const detail of hostile) {
    const moved = world.store.transitions.transition(SYSTEM, { task, to: "failed", ...how, detail });
    await expect(moved).rejects.toMatchObject({ code: "invalid-input" });
  }
  expect(await world.read(task.id)).toEqual(task);
});

test("every patchable column takes its value, is unchanged when left out, and can be set to null where that is allowed", async () => {
  const task = await world.task(operator, "running");
  const patch = {
    host: "host-2",
    agentType: "codex",
    model: "m",
    routingReason: "r",
    branch: "fleet/other",
    workspacePath: "/w",
    tmuxSession: "t",
    condition: "needs_input",
    conditionDetail: { text: "?" },
    attempt: 2,
    dispatchId: "0199b3a0-0000-4000-8000-000000000001",
    waitingFor: "ci",
    prNumber: 7,
    prUrl: "u",
    headSha: "a".repeat(40),
    ciStatus: "pending",
    reviewStatus: { round: 1 },
    doneStatus: { ok: false },
    retryCount: 1,
    spend: { cost: 1 },
    contextHash: "h",
    failureContext: { class: "stall", reason: "r", summary: "s", attempt: 1, signature: "x" },
    metadata: { crashes: 1 },
  } as const;
  const filled = await world.store.transitions.transition(SYSTEM, { task, ...how, patch });
  expect(filled).toMatchObject(patch);
  expect(await world.read(task.id)).toEqual(filled);

  const unchanged = await world.store.transitions.transition(SYSTEM, { task: filled, ...how });
  expect(unchanged).toMatchObject(patch);
  expect(await world.read(task.id)).toEqual(unchanged);

  const empty = {
    host: null,
    model: null,
    routingReason: null,
    workspacePath: null,
    tmuxSession: null,
    conditionDetail: null,
    dispatchId: null,
    waitingFor: null,
    prNumber: null,
    prUrl: null,
    headSha: null,
    reviewStatus: null,
    doneStatus: null,
    contextHash: null,
    failureContext: null,
  } as const;
  const emptied = await world.store.transitions.transition(SYSTEM, { task: unchanged, ...how, patch: empty });
  expect(emptied).toMatchObject(empty);
  expect(await world.read(task.id)).toEqual(emptied);
});
