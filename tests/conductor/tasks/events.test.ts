/** Following events: in order, from the reader's cursor, without a gap however writers overlap. */
import { Client } from "pg";
import { expect, test } from "vitest";
import { stopTask } from "../../../src/conductor/tasks/stop.ts";
import { followEvents, readEvents } from "../../../src/conductor/tasks/events.ts";
import type { EventRow } from "../../../src/store/outbox.ts";
import { eventually } from "../../support/eventually.ts";
import { testFleet } from "../../support/fleet.ts";

/** The next `count` events, and the cursor after them. */
async function take(events: AsyncGenerator<EventRow, void>, count: number): Promise<EventRow[]> {
  const taken: EventRow[] = [];
  while (taken.length < count) {
    const next = await events.next();
    if (next.done) break;
    taken.push(next.value);
  }
  return taken;
}

const typesOf = (rows: readonly EventRow[]) => rows.map(({ payload }) => payload["type"]);

test("a reader that lost its connection continues exactly where it was", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const { id } = await fleet.spawn(by, { repository: await fleet.aRepository(), script: "fail-then-fix" });
  await fleet.runUntil(id, "ready");
  // Any transaction elsewhere on the server delays the newest events for as long as it runs.
  const all = await eventually(async () => {
    const events = await readEvents(fleet.fleet, by, { fromStart: true }, 1_000);
    return typesOf(events).includes("fleet.task.ready") ? events : undefined;
  });
  const read: EventRow[] = [];

  // Three events at a time, each time as a new reader.
  let cursor: string | undefined;
  while (read.length < all.length) {
    const disconnected = new AbortController();
    const some = await take(
      followEvents(fleet.fleet, by, { cursor, fromStart: true }, disconnected.signal),
      Math.min(3, all.length - read.length),
    );
    disconnected.abort();
    read.push(...some);
    cursor = some.at(-1)?.cursor;
  }

  expect(all.length).toBeGreaterThan(10);
  expect(read).toEqual(all);
  expect(typesOf(all).slice(0, 4)).toEqual([
    "fleet.task.proposed",
    "fleet.task.spawning",
    "fleet.task.running",
    "AGENT_SPAWNED",
  ]);
});

test("an event of a transaction that commits late is not skipped", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const repository = await fleet.aRepository();
  const late = await fleet.spawn(by, { repository });
  const gone = new AbortController();
  const events = followEvents(fleet.fleet, by, { fromStart: true }, gone.signal);
  await take(events, 1);

  // One writer takes its number and commits slowly; another comes after it and commits first.
  const slow = new Client({ connectionString: fleet.databaseUrl });
  await slow.connect();
  await slow.query("begin");
  await slow.query(
    `insert into outbox (tenant_id, operator_id, task_id, topic, dedup_key, payload, processed_at)
     values ($1, $2, $3, 'event', 'event_slow', '{"type": "slow"}', now())`,
    [by.tenantId, by.id, late.id],
  );
  await fleet.spawn(by, { repository });
  const next = take(events, 2);
  await new Promise((resolve) => setTimeout(resolve, 400));
  await slow.query("commit");
  await slow.end();

  expect(typesOf(await next)).toEqual(["slow", "fleet.task.proposed"]);
  gone.abort();
});

test("a follower without a cursor gets only new events, and only those of their own tenant", async () => {
  await using fleet = await testFleet();
  const [ada, eve] = [await fleet.operator(), await fleet.operator()];
  const repository = await fleet.aRepository();
  const task = await fleet.spawn(ada, { repository });
  const gone = new AbortController();
  const events = followEvents(fleet.fleet, ada, {}, gone.signal);
  const first = events.next();
  await new Promise((resolve) => setTimeout(resolve, 300));

  await stopTask(fleet.fleet, eve, await fleet.spawn(eve, { repository }));
  await stopTask(fleet.fleet, ada, task);

  const heard = [(await first).value];
  while (typesOf(heard.flatMap((row) => row ?? [])).at(-1) !== "fleet.task.cancelled")
    heard.push((await events.next()).value);
  expect(new Set(heard.map((row) => row?.taskId))).toEqual(new Set([task.id]));
  gone.abort();
  expect((await events.next()).done).toBe(true);
});

test("an invalid cursor starts from the beginning", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  await fleet.spawn(by, { repository: await fleet.aRepository() });

  for (const cursor of ["", "x", "1-1; drop table outbox", "9".repeat(40)]) {
    // Any transaction elsewhere on the server delays the newest events for as long as it runs.
    const events = await eventually(async () => {
      const page = await readEvents(fleet.fleet, by, { cursor });
      return page.length > 0 ? page : undefined;
    });
    expect(typesOf(events)).toEqual(["fleet.task.proposed"]);
  }
});

test("without a cursor the latest events are returned, oldest first", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator();
  const repository = await fleet.aRepository();
  const tasks = [
    await fleet.spawn(by, { repository }),
    await fleet.spawn(by, { repository }),
    await fleet.spawn(by, { repository }),
  ];

  const read = await eventually(async () => {
    const page = await readEvents(fleet.fleet, by, {}, 2);
    return page.at(-1)?.taskId === tasks[2]?.id ? page : undefined;
  });

  expect(read.map(({ taskId }) => taskId)).toEqual([tasks[1]?.id, tasks[2]?.id]);
});
