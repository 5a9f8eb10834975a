/** Row 14: what people and programs list, among a million tasks: page by page, with every filter, and by which plan. */
import { listEntries, nextAuditId } from "../../src/store/audit-reading.ts";
import { listFacts } from "../../src/store/heartbeats.ts";
import { listOrders } from "../../src/store/orders.ts";
import { listLatestEvents } from "../../src/store/outbox.ts";
import { listRuns } from "../../src/store/runs.ts";
import type { Tx } from "../../src/store/sql.ts";
import { requestBy, WORKER, type Behalf, type Store } from "../../src/store/store.ts";
import { pageOfTasks, type TaskSearch } from "../../src/store/task-pages.ts";
import { countByStatus, findTask } from "../../src/store/tasks.ts";
import type { Operator } from "../../src/domain/operator.ts";
import { TaskStatus, TERMINAL_STATUSES } from "../../src/domain/task/task.ts";
import { plansOf, readWhole, sayPlans } from "../../tests/support/plans.ts";
import { lineOf, type Line } from "../line.ts";
import { GROWING, operatorOf, sharedHistory, TENANTS } from "../million.ts";
import { figure, interleave, quartilesOf, spreadOf } from "../rounds.ts";
import type { Row } from "../row.ts";
import { storeOver } from "../seed.ts";
import type { Database } from "../world.ts";

type Ask = (tx: Tx, by: Operator) => Promise<unknown>;
interface Listing {
  readonly what: string;
  readonly ask: Ask;
  /** As an admin, of all tenants at once. */
  readonly all?: boolean;
}

const PAGE = 50;
const LIVE = TaskStatus.options.filter((status) => !TERMINAL_STATUSES.includes(status));
const YESTERDAY = () => new Date(Date.now() - 86_400_000);
const A_YEAR_AGO = { at: new Date(Date.now() - 365 * 86_400_000), id: "ffffffff-ffff-ffff-ffff-ffffffffffff" };

const tasks =
  (search: Omit<TaskSearch, "limit">): Ask =>
  (tx) =>
    pageOfTasks(tx, { ...search, limit: PAGE });

/** Each documented filter of each listing; where a filter may find much or nothing, both. */
const LISTINGS: readonly Listing[] = [
  { what: "/tasks", ask: tasks({}) },
  { what: "/tasks?cursor, a year back", ask: tasks({ before: A_YEAR_AGO }) },
  { what: "/tasks?status=merged", ask: tasks({ statuses: ["merged"] }) },
  { what: "/tasks?status=ready", ask: tasks({ statuses: ["ready"] }) },
  { what: "/tasks?type=docs", ask: tasks({ taskType: "docs" }) },
  { what: "/tasks?type=review, none", ask: tasks({ taskType: "review" }) },
  { what: "/tasks?agent=codex", ask: tasks({ agentType: "codex" }) },
  { what: "/tasks?agent=stub, hardly any", ask: tasks({ agentType: "stub" }) },
  { what: "/tasks?host", ask: tasks({ host: "host-3" }) },
  { what: "/tasks?host, none", ask: tasks({ host: "nowhere" }) },
  { what: "/tasks?since=yesterday", ask: (tx) => pageOfTasks(tx, { since: YESTERDAY(), limit: PAGE }) },
  { what: "/tasks?text, in many", ask: tasks({ text: "care" }) },
  { what: "/tasks?text, in none", ask: tasks({ text: "nobody wrote this" }) },
  { what: "/tasks?mine", ask: (tx, by) => pageOfTasks(tx, { operatorId: by.id, limit: PAGE }) },
  { what: "/tasks?all", ask: tasks({}), all: true },
  { what: "/tasks?all&status=merged", ask: tasks({ statuses: ["merged"] }), all: true },
  { what: "/tasks?all&agent=stub", ask: tasks({ agentType: "stub" }), all: true },
  { what: "/tasks?all&text, in none", ask: tasks({ text: "nobody wrote this" }), all: true },
  { what: "/status", ask: countByStatus },
  { what: "/ps", ask: livingWithFacts },
  { what: "/orders", ask: (tx) => listOrders(tx, { limit: PAGE }) },
  { what: "/orders?status=pending", ask: (tx) => listOrders(tx, { status: "pending", limit: PAGE }) },
  { what: "/orders?intent, none", ask: (tx) => listOrders(tx, { intent: "gc_runs", limit: PAGE }) },
  { what: "/orders?product", ask: (tx) => listOrders(tx, { productId: "shop-3", limit: PAGE }) },
  { what: "/runs", ask: (tx, by) => listRuns(tx, by.tenantId, { limit: PAGE }) },
  { what: "/runs?status=failed", ask: (tx, by) => listRuns(tx, by.tenantId, { status: "failed", limit: PAGE }) },
  { what: "/runs?intent, none", ask: (tx, by) => listRuns(tx, by.tenantId, { intent: "gc_runs", limit: PAGE }) },
  { what: "/events/recent", ask: (tx) => listLatestEvents(tx, { limit: PAGE }) },
  { what: "/audit", ask: latestEntries },
];

async function livingWithFacts(tx: Tx): Promise<void> {
  const { tasks: living } = await pageOfTasks(tx, { statuses: LIVE, limit: 2_000 });
  await listFacts(
    tx,
    living.map(({ id }) => id),
  );
}

/** One look of the reader of the audit log: so many numbers back. */
async function latestEntries(tx: Tx): Promise<void> {
  const before = await nextAuditId(tx);
  await listEntries(tx, {}, { from: Math.max(1, before - 5_000), before, limit: PAGE });
}

export const listingsRow: Row = {
  rows: ["14"],
  what: "listings among a million tasks",
  async measure(world) {
    const { database, tasks: count, seedingMs } = await sharedHistory(world);
    const store = storeOver(world, database);
    const often = world.size(40, 10);
    const ids = await idsOf(database);
    const reference = async () => {
      const times: number[] = [];
      for (let at = 0; at < often; at += 1) {
        const tenant = at % TENANTS;
        times.push(await timedOn(store, requestBy(operatorOf(tenant)), (tx) => findTask(tx, ids[tenant] ?? "")));
      }
      return spreadOf(times);
    };
    await reference();
    const lines: Line[] = [];
    for (const listing of LISTINGS) {
      const ours = async () => {
        const times: number[] = [];
        for (let at = 0; at < often; at += 1) {
          // The largest tenant every fifth time: who has most, lists most.
          const by = operatorOf(at % 5 === 0 ? 0 : at % TENANTS);
          times.push(await timedOn(store, behalfOf(listing, by), (tx) => listing.ask(tx, by)));
        }
        return spreadOf(times);
      };
      await ours();
      const samples = await interleave(world.rounds, ours, reference);
      const { wrong, plan } = await lookAtPlans(store, listing);
      const p99 = quartilesOf(figure(samples.ours, "p99")).median;
      const said = {
        row: "14",
        what: `${listing.what}, p50 of ${count.toLocaleString("en-US")} tasks`,
        reference: "a task by its key",
        unit: "ms",
        target: { atMost: 10 },
        wrong: world.quick ? [] : wrong,
        notes: [`p99 ${p99.toFixed(1)} ms; ${plan}`],
        reason: "as many rows to read, parse and count as it shows",
      };
      lines.push(lineOf(said, figure(samples.ours, "p50"), figure(samples.theirs, "p50")));
    }
    const seeding = { row: "14", what: "seeding all that", reference: "–", unit: "s", compared: "value" } as const;
    return [...lines, lineOf(seeding, [seedingMs / 1_000])];
  },
};

function behalfOf({ all = false }: Listing, by: Operator): Behalf {
  return all ? WORKER : requestBy(by);
}

async function timedOn(store: Store, on: Behalf, work: (tx: Tx) => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await store.transaction(on, work);
  return performance.now() - from;
}

/** For the largest tenant and for a small one: what is read whole among what grows, and by which means the rest. */
async function lookAtPlans(store: Store, listing: Listing): Promise<{ wrong: string[]; plan: string }> {
  const wrong = new Set<string>();
  let plan = "";
  for (const tenant of [TENANTS - 1, 0]) {
    const by = operatorOf(tenant);
    const plans = await plansOf(store, behalfOf(listing, by), (tx) => listing.ask(tx, by));
    for (const table of readWhole(plans).filter((name) => isGrowing(name))) wrong.add(`${table} is read whole`);
    plan = sayPlans(plans);
  }
  return { wrong: [...wrong], plan };
}

/** Partitions by the name of their table. */
function isGrowing(table: string): boolean {
  return GROWING.some((name) => table === name || table.startsWith(`${name}_`));
}

/** One task of each tenant. */
async function idsOf(database: Database): Promise<string[]> {
  const rows = await database.query(
    `select (select id from fleet_tasks t where t.tenant_id = o.tenant_id and t.removed_at is null limit 1) as id
     from (select distinct tenant_id from operators where starts_with(tenant_id, 'tenant-')) o order by tenant_id`,
  );
  return rows.map(({ id }) => String(id));
}
