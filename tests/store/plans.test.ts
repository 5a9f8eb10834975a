/** How PostgreSQL finds the rows of each listing among 50,000 tasks: by index, under row security too. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { listStaleAttempts } from "../../src/store/attempts.ts";
import { listAuditEntries, listChainHeads } from "../../src/store/audit.ts";
import { listFacts } from "../../src/store/heartbeats.ts";
import { listHosts, lockFreeSlots } from "../../src/store/hosts.ts";
import { listNotifications, listOverdueNotifications, listRecentSendTimes } from "../../src/store/notifications.ts";
import { listEvents, listLatestEvents, claimHints } from "../../src/store/outbox.ts";
import { pruneOutbox } from "../../src/store/retention.ts";
import type { Tx } from "../../src/store/sql.ts";
import * as budgets from "../../src/store/budgets.ts";
import * as checks from "../../src/store/checks.ts";
import * as line from "../../src/store/slot-queue.ts";
import * as pages from "../../src/store/task-pages.ts";
import * as tasks from "../../src/store/tasks.ts";
import { explainStatements, seqScannedTables } from "../support/plans.ts";
import { testStore, type TestStore } from "../support/store.ts";
import { type Principal, SYSTEM, asOperator } from "../../src/store/principal.ts";

let world: TestStore;
let aTask = { id: "", createdAt: new Date() };

const TASKS = 50_000;

beforeAll(async () => {
  world = await testStore();
  await world.query(`begin; set local session_replication_role = replica;
    insert into operators (id, tenant_id, tier) select 'op-' || n, 'tenant-' || n % 10, 'sovereign' from generate_series(0, 99) n;
    insert into slots (operator_id, tenant_id) select id, tenant_id from operators;
    insert into hosts (id, boot_id, reporter, lease_until, slots) select 'host-' || n, 'b', 'w', now(), 100 from generate_series(0, 19) n;
    insert into fleet_tasks (id, tenant_id, operator_id, agent_type, task_type, title, description, repository, base_branch,
      branch, status, host, attempt, dispatch_id, created_at, completed_at, waiting_for, due_at, workspace_path, lease_until)
    select gen_random_uuid(), 'tenant-' || n % 10, 'op-' || n % 100, (array['stub', 'codex'])[1 + n % 2],
      (array['feature', 'bug_fix', 'docs'])[1 + n % 3], 'Task ' || n, 'Do it', 'r', 'main', 'fleet/' || n, s.status,
      'host-' || n % 20, 1, gen_random_uuid(), now() - n * interval '1 minute',
      case when s.status in ('merged', 'cancelled', 'abandoned') then now() end,
      case when s.status in ('proposed', 'retrying') then 'spawn' end, now() - interval '1 hour',
      case when n % 50 = 0 then '/w' end, case when s.status = 'spawning' then now() end
    from generate_series(1, ${TASKS}) n cross join lateral (select case when n % 100 < 2 then
      (array['proposed', 'spawning', 'running', 'pr_created', 'reviewing', 'ready', 'retrying', 'failed'])[1 + (n / 100) % 8]
      else (array['merged', 'cancelled', 'abandoned'])[1 + n % 3] end as status) s;
    update fleet_tasks set condition = 'waiting_slot', condition_detail = '{"host": "h"}' where status in ('proposed', 'retrying');
    insert into turns (tenant_id, operator_id, served) select 'tenant-' || n % 10, 'op-' || n, n from generate_series(0, 2999) n;
    insert into budgets (tenant_id, operator_id, tokens, daily_tasks, updated_by)
      select 'tenant-' || n % 10, 'op-' || n, 1e6, 10, 'a' from generate_series(0, 2999) n;
    insert into spending (tenant_id, operator_id, period, tokens)
      select tenant_id, operator_id, period, 1 from turns cross join (values ('ever'), ('2026-01-01'), ('2026-01-02')) as p(period);
    insert into attempts (task_id, attempt, tenant_id, operator_id, dispatch_id, host, agent_type, closed_at)
      select id, 1, tenant_id, operator_id, dispatch_id, host, agent_type, completed_at from fleet_tasks;
    insert into outbox (xid, tenant_id, operator_id, task_id, topic, dedup_key, payload, processed_at)
      select (row_number() over ())::text::xid8, tenant_id, operator_id, id, case when right(branch, 1) = '7' then 'spawn' else 'event' end,
        id::text, '{}', case when branch not like '%777' then now() end from fleet_tasks;
    insert into audit_log (tenant_id, operator_id, chain, seq, task_id, actor, action, detail, hash)
      select tenant_id, operator_id, 'task:' || id, 1, id, 'a', 'b', '{}', '' from fleet_tasks limit 20000;
    insert into fleet_notifications (tenant_id, operator_id, task_id, type, channel, dedup_key, summary, status)
      select tenant_id, operator_id, id, 'merged', 'terminal', id::text, 's', 'delivered' from fleet_tasks limit 5000;
    insert into heartbeats (task_id, tenant_id, operator_id, attempt, dispatch_id, host, pane, process)
      select id, tenant_id, operator_id, 1, dispatch_id, host, 'alive', 'alive' from fleet_tasks limit 5000;
    commit`);
  await world.query("analyze");
  const [row] = await world.query("select id, created_at from fleet_tasks offset 5000 limit 1");
  aTask = z
    .object({ id: z.string(), created_at: z.date() })
    .transform(({ id, created_at }) => ({ id, createdAt: created_at }))
    .parse(row);
});
afterAll(() => world[Symbol.asyncDispose]());

const ada = asOperator({ id: "op-7", tenantId: "tenant-7" });
const [shown, page] = [
  { limit: 50 },
  { before: { at: new Date(), id: "ffffffff-ffff-ffff-ffff-ffffffffffff" }, limit: 50 },
];

/** Every filter that the API offers, as the operator who uses it. */
const LISTINGS: Readonly<Record<string, readonly [Principal, (tx: Tx) => Promise<unknown>]>> = {
  "a request's tasks": [ada, (tx) => tasks.listTasks(tx, shown)],
  "the next page of them": [ada, (tx) => tasks.listTasks(tx, page)],
  "its own": [ada, (tx) => tasks.listTasks(tx, { ...shown, operatorId: "op-7" })],
  "its running ones": [ada, (tx) => tasks.listTasks(tx, { ...shown, statuses: ["running"] })],
  "its live ones": [ada, (tx) => tasks.listTasks(tx, { ...shown, statuses: ["spawning", "running", "reviewing"] })],
  "those on a host": [ada, (tx) => pages.listTaskPage(tx, { ...shown, host: "host-3" })],
  "those of an agent type": [ada, (tx) => pages.listTaskPage(tx, { ...shown, agentType: "codex" })],
  "those of a task type": [ada, (tx) => pages.listTaskPage(tx, { ...shown, taskType: "docs" })],
  "those since a time": [ada, (tx) => tasks.listTasks(tx, { ...shown, since: new Date(Date.now() - 3_600_000) })],
  "those with a word": [ada, (tx) => pages.listTaskPage(tx, { ...shown, text: "hello" })],
  "its task by id": [ada, (tx) => tasks.findTask(tx, aTask.id)],
  "its task by short name": [ada, (tx) => tasks.listTasksByName(tx, "12ab34cd", 6)],
  "its counts": [ada, (tx) => tasks.countTasksByStatus(tx)],
  "its latest events": [ada, (tx) => listLatestEvents(tx, { limit: 100 })],
  "one task's latest events": [ada, (tx) => listLatestEvents(tx, { limit: 100, taskId: aTask.id })],
  "its events": [ada, (tx) => listEvents(tx, { cursor: "45000-0", limit: 100 })],
  "one task's events": [ada, (tx) => listEvents(tx, { cursor: "0-0", limit: 100, taskId: aTask.id })],
  "one task's history": [ada, (tx) => listAuditEntries(tx, `task:${aTask.id}`, { after: 0, limit: 100 })],
  "one task's notifications": [ada, (tx) => listNotifications(tx, aTask.id)],
  "who is next in the line": [SYSTEM, (tx) => line.listSlotQueue(tx, 50)],
  "whether anybody is in it": [SYSTEM, (tx) => line.hasSlotWaiters(tx)],
  "who was called": [SYSTEM, (tx) => line.countCalledTasks(tx)],
  "how long the line is": [SYSTEM, (tx) => checks.measureSlotQueue(tx)],
  "what is used up": [SYSTEM, (tx) => budgets.findReachedCap(tx, { tenantId: "tenant-7", operatorId: "op-7" })],
  "a budget": [SYSTEM, (tx) => budgets.findBudget(tx, "tenant-7", "op-7")],
  "whose budgets are used up": [SYSTEM, (tx) => budgets.listExhaustedBudgets(tx, ["tenant-7"])],
  "what agents used": [
    SYSTEM,
    (tx) => budgets.recordUsage(tx, [{ taskId: aTask.id, attempt: 1, usage: { tokens: 5, cost: null } }]),
  ],
  "whose turn it was": [SYSTEM, (tx) => line.markServed(tx, [{ tenantId: "tenant-7", operatorId: "op-7" }])],
  "everybody's tasks": [SYSTEM, (tx) => tasks.listTasks(tx, shown)],
  "the next page of everybody's": [SYSTEM, (tx) => tasks.listTasks(tx, page)],
  "one tenant's tasks": [SYSTEM, (tx) => tasks.listTasks(tx, { ...shown, tenantId: "tenant-3", statuses: ["failed"] })],
  "everybody's running ones": [SYSTEM, (tx) => tasks.listTasks(tx, { ...shown, statuses: ["running"] })],
  "any task by a prefix": [SYSTEM, (tx) => tasks.listTasksByName(tx, "12ab34", 6)],
  "a task for a job": [SYSTEM, (tx) => tasks.findTaskAtEpoch(tx, { taskId: aTask.id, epoch: 1 })],
  "a shard's live tasks": [SYSTEM, (tx) => tasks.listLiveTasks(tx, { shard: 1, of: 4 })],
  "tasks on a host": [SYSTEM, (tx) => tasks.listTasksOnHost(tx, "host-3")],
  "overdue tasks": [SYSTEM, (tx) => tasks.listOverdueTasks(tx, 1_000, 1_000)],
  "expired spawns": [SYSTEM, (tx) => tasks.listExpiredSpawns(tx, 100)],
  "tasks to clean": [SYSTEM, (tx) => tasks.listTasksToClean(tx, "host-0", 100)],
  "stale attempts": [SYSTEM, (tx) => listStaleAttempts(tx, "host-3", 100)],
  "facts of a shard": [SYSTEM, (tx) => listFacts(tx, [aTask.id])],
  "hosts with what they hold": [SYSTEM, (tx) => listHosts(tx)],
  "a host's free slots": [SYSTEM, (tx) => lockFreeSlots(tx, "host-3")],
  "waiting hints": [SYSTEM, (tx) => claimHints(tx, 200)],
  "everybody's events": [SYSTEM, (tx) => listEvents(tx, { cursor: "45000-0", limit: 100 })],
  "what may be pruned": [SYSTEM, (tx) => pruneOutbox(tx, { hintsMs: 3_600_000, eventsMs: 86_400_000, limit: 1_000 })],
  "overdue notifications": [SYSTEM, (tx) => listOverdueNotifications(tx, 1_000, 100)],
  "what a channel was sent": [SYSTEM, (tx) => listRecentSendTimes(tx, { operatorId: "op-7", channel: "terminal" })],
  "chain heads": [SYSTEM, (tx) => listChainHeads(tx, `task:${aTask.id}`, 500)],
};

/** So few rows that a sequential scan is the best plan. */
const SMALL = new Set(["hosts", "operators", "slots", "fleet_config"]);

describe("among 50,000 tasks an index finds", () => {
  test.each(Object.entries(LISTINGS))("%s", async (_, [on, ask]) => {
    const plans = await explainStatements(world.store, on, ask);

    expect(plans.length).toBeGreaterThan(0);
    expect(seqScannedTables(plans).filter((table) => !SMALL.has(table))).toEqual([]);
  });

  test("the tasks of a batch of transitions, whatever the statistics were when it was planned", async () => {
    const task = await world.read(aTask.id);
    await world.store.asSystem(async (tx) => {
      // Counted on the table itself, because the plan is inside the function.
      const scans = async () =>
        (await tx.many(Scans)`select pg_stat_get_xact_numscans('fleet_tasks'::regclass)::int as n`)[0]?.n;
      const before = await scans();
      await tx.run`select * from fleet_transition(null, ${JSON.stringify([
        {
          ord: 0,
          id: task.id,
          from: task.status,
          to: null,
          version: task.version,
          bump: true,
          actor: "a",
          action: "b",
          detail: {},
        },
      ])}::jsonb)`;
      expect(await scans()).toBe(before);
    });
  });
});

const Scans = z.object({ n: z.int() });

/** All rows of a listing, and how many pages that took. */
async function readAll(search: Omit<pages.TaskSearch, "limit" | "before">) {
  const found: string[] = [];
  let before: pages.TaskPage["next"];
  let count = 0;
  do {
    const from = before;
    const seen = await world.store.transaction(ada, (tx) =>
      pages.listTaskPage(tx, { ...search, limit: 50, before: from }),
    );
    found.push(...seen.tasks.map(({ title }) => title));
    before = seen.next;
    count += 1;
  } while (before && count < 1_000);
  return { found, count };
}

/** How many pages a tenant's tasks fill. */
const ALL_PAGES = Math.ceil(TASKS / 10 / pages.MAX_SCANNED_TASKS);

describe("a filter that no index serves reads page by page, to the end:", () => {
  test("a search without a match takes as many pages as the tenant's tasks fill", async () => {
    expect(await readAll({ agentType: "gemini" })).toEqual({ found: [], count: ALL_PAGES });
    expect(await readAll({ text: "nobody wrote this" })).toEqual({ found: [], count: ALL_PAGES });
  });

  test("rare rows are found wherever they are, once", async () => {
    expect(await readAll({ text: "TASK 49997" })).toEqual({ found: ["Task 49997"], count: ALL_PAGES });
    expect((await readAll({ text: "task 7", statuses: ["cancelled", "merged", "abandoned"] })).found).toContain(
      "Task 7",
    );
  });

  test("common rows are all returned, in order and without duplicates", async () => {
    const { found } = await readAll({ host: "host-7" });

    expect(found).toHaveLength(TASKS / 20);
    expect(new Set(found).size).toBe(found.length);
    expect(found.map((title) => Number(title.slice(5)))).toEqual(
      found.map((title) => Number(title.slice(5))).toSorted((a, b) => a - b),
    );
  });
});
