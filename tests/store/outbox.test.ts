/**
 * The outbox: hints are shared without overlap and die visibly; readers of events never miss one that commits late.
 */
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { z } from "zod";
import { getLatestEventCursor, listEvents, markHintsFailed, claimHints } from "../../src/store/outbox.ts";
import { pruneOutbox } from "../../src/store/retention.ts";
import type { Store } from "../../src/store/store.ts";
import { aHint, anEvent } from "../support/builders.ts";
import { eventually } from "../support/eventually.ts";
import { testStore } from "../support/store.ts";
import { SYSTEM } from "../../src/store/principal.ts";

const how = { actor: "test", action: "test.move" };

test("two concurrent relays share the waiting hints without overlap and without blocking each other", async () => {
  await using world = await testStore();
  const operator = await world.operator();
  for (let n = 0; n < 40; n += 1) await world.admit(operator);

  const [one, two] = await world.store.asSystem(async (first) => {
    const mine = await claimHints(first, 25);
    const theirs = await world.store.asSystem((second) => claimHints(second, 25));
    return [mine, theirs];
  });

  expect([one?.length, two?.length]).toEqual([25, 15]);
  expect(new Set([...(one ?? []), ...(two ?? [])].map(({ id }) => id)).size).toBe(40);
});

test("a relayed hint is not offered again, a failed one waits, and after its last try it is dead and counted", async () => {
  await using world = await testStore();
  await world.admit(await world.operator());
  await world.admit(await world.operator());
  const claim = () => world.store.asSystem((tx) => claimHints(tx, 10));
  const [, second] = await claim();
  const fail = (pauseMs: number) =>
    world.store.asSystem((tx) =>
      markHintsFailed(tx, { ids: [second?.id ?? ""], error: "Redis is away", pauseMs, maxTries: 3 }),
    );

  await fail(60_000);
  expect(await claim()).toEqual([]);
  await fail(0);
  expect(await claim()).toMatchObject([{ id: second?.id, retryCount: 2 }]);
  await fail(0);
  expect(await claim()).toEqual([]);

  expect(await world.query("select last_error from outbox where dead_at is not null")).toEqual([
    { last_error: "Redis is away" },
  ]);
  expect(await world.query("select from outbox where processed_at is null and dead_at is null")).toEqual([]);
});

test("a delayed hint is offered at once with its delay, so that the queue waits and not the relay", async () => {
  await using world = await testStore();
  const task = await world.task(await world.operator(), "running");
  const later = { ...aHint(task), delayMs: 60_000 };
  await world.store.transitions.transition(SYSTEM, { task, to: "failed", ...how, hints: [later] });

  const rows = await world.store.asSystem((tx) => claimHints(tx, 10));

  const delays = rows.map(({ delayMs }) => delayMs).toSorted((a, b) => a - b);
  expect(delays[0]).toBe(0);
  expect(delays[1]).toBeGreaterThan(50_000);
  expect(delays[1]).toBeLessThanOrEqual(60_000);
});

test("the same hint for the same epoch is written once, however often it is requested", async () => {
  await using world = await testStore();
  const task = await world.task(await world.operator(), "running");
  const same = aHint(task);

  const after = await world.store.transitions.transition(SYSTEM, { task, ...how, hints: [same, same] });
  await world.store.transitions.transition(SYSTEM, { task: after, ...how, hints: [same] });

  expect(await world.query("select count(*)::int as n from outbox where dedup_key = $1", [same.dedupKey])).toEqual([
    { n: 1 },
  ]);
});

test("an event is not shown before an earlier transaction that is still open has ended", async () => {
  await using world = await testStore();
  const operator = await world.operator();
  const start = await world.store.asSystem((tx) => getLatestEventCursor(tx));
  const slow = await world.client();
  await slow.query("begin");
  await writeEvent(slow, operator, "slow");
  const quick = await world.client();
  await writeEvent(quick, operator, "quick");

  expect(await readFrom(world.store, start)).toEqual([]);
  await slow.query("commit");
  // Any transaction elsewhere on the server delays the newest events for as long as it runs.
  const shown = await eventually(async () => {
    const events = await readFrom(world.store, start);
    return events.length > 0 ? events : undefined;
  });

  expect(shown.map(({ name }) => name)).toEqual(["slow", "quick"]);
  expect(await readFrom(world.store, shown[0]?.cursor ?? "")).toEqual([shown[1]]);
});

test("a reader that resumes at its cursor sees each event of 32 writers exactly once, and a task's in order", async () => {
  await using world = await testStore();
  const operator = await world.operator();
  const tasks = await world.tasks(operator, 32, "running");
  const from = await world.store.asSystem((tx) => getLatestEventCursor(tx));
  const other = world.another(16);
  let writing = true;

  const writers = Promise.all(
    tasks.map(async (task, writer) => {
      let now = task;
      for (let n = 0; n < 12; n += 1) {
        const events = [{ ...anEvent(), data: { name: `${writer}/${n}` } }];
        now = await (writer % 2 ? world.store : other).transitions.transition(SYSTEM, { task: now, ...how, events });
      }
    }),
  ).finally(() => {
    writing = false;
  });
  const seen: string[] = [];
  let cursor = from;
  // Any transaction elsewhere on the server delays the newest events for as long as it runs.
  await eventually(async () => {
    const last = !writing;
    const page = await readFrom(world.store, cursor, 7);
    seen.push(...page.map(({ name }) => name));
    cursor = page.at(-1)?.cursor ?? cursor;
    return last && page.length === 0 && seen.length >= 32 * 12 ? true : undefined;
  }, 30_000);
  await writers;

  expect(seen).toHaveLength(32 * 12);
  expect(new Set(seen).size).toBe(32 * 12);
  for (let writer = 0; writer < 32; writer += 1) {
    const own = seen.filter((name) => name.startsWith(`${writer}/`));
    expect(own).toEqual(Array.from({ length: 12 }, (_, n) => `${writer}/${n}`));
  }
});

test("a request reads its tenant's events only, or those of one task", async () => {
  await using world = await testStore();
  const ada = await world.operator();
  const [one] = await world.tasks(ada, 3);
  await world.tasks(await world.operator(), 3);

  const read = (taskId?: string) => world.store.as(ada, (tx) => listEvents(tx, { cursor: "0-0", limit: 100, taskId }));

  const all = await eventually(async () => {
    const events = await read();
    return events.length >= 3 ? events : undefined;
  });
  expect(all).toHaveLength(3);
  expect((await read(one?.id)).map(({ taskId }) => taskId)).toEqual([one?.id]);
});

test("pruning removes published rows after their retention, events later than hints, and nothing that is waiting", async () => {
  await using world = await testStore();
  for (let n = 0; n < 3; n += 1) await world.admit(await world.operator());
  await world.store.asSystem((tx) => claimHints(tx, 1));
  await world.query(
    "update outbox set processed_at = processed_at - interval '2 hours' where processed_at is not null",
  );
  const prune = (eventsMs: number) =>
    world.store.asSystem((tx) => pruneOutbox(tx, { hintsMs: 3_600_000, eventsMs, limit: 10 }));

  expect(await prune(86_400_000)).toBe(1);
  expect(await prune(3_600_000)).toBe(3);
  expect(await world.query("select count(*)::int as n from outbox where processed_at is null")).toEqual([{ n: 2 }]);
});

interface Queryable {
  query(text: string, values: unknown[]): Promise<unknown>;
}

async function writeEvent(on: Queryable, operator: { id: string; tenantId: string }, name: string): Promise<void> {
  await on.query(
    `insert into outbox (tenant_id, operator_id, topic, dedup_key, payload, processed_at) values ($1, $2, 'event', $3, $4, now())`,
    [operator.tenantId, operator.id, randomUUID(), JSON.stringify({ data: { name } })],
  );
}

const Named = z.object({ data: z.object({ name: z.string().optional() }) });

async function readFrom(store: Store, cursor: string, limit = 100): Promise<{ cursor: string; name: string }[]> {
  const rows = await store.asSystem((tx) => listEvents(tx, { cursor, limit }));
  return rows.map((row) => ({ cursor: row.cursor, name: Named.parse(row.payload).data.name ?? "" }));
}
