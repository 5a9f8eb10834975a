/** Row 14: what people and programs list, among a million tasks: page by page, with every filter, and with which query plan. */
import { listAuditRecords, getNextAuditId } from "../../src/store/audit-reading.ts";
import { listFacts } from "../../src/store/heartbeats.ts";
import { listOrders } from "../../src/store/orders.ts";
import { listLatestEvents } from "../../src/store/outbox.ts";
import { listRuns } from "../../src/store/runs.ts";
import type { Tx } from "../../src/store/sql.ts";
import type { Store } from "../../src/store/store.ts";
import { listTaskPage, type TaskSearch } from "../../src/store/task-pages.ts";
import { countTasksByStatus, findTask } from "../../src/store/tasks.ts";
import type { Operator } from "../../src/domain/operator.ts";
import { TaskStatus, TERMINAL_STATUSES } from "../../src/domain/task/task.ts";
import { explainStatements, seqScannedTables, summarizePlans } from "../../tests/support/plans.ts";
import { toScoreLine, type ScoreLine } from "../line.ts";
import { GROWING_TABLES, tenantOperator, sharedHistory, TENANTS } from "../million.ts";
import { pickFigure, interleave, computeQuartiles, computePercentiles } from "../rounds.ts";
import type { BenchRow } from "../row.ts";
import { openBenchStore } from "../seed.ts";
import type { Database } from "../world.ts";
import { type Principal, SYSTEM, asOperator } from "../../src/store/principal.ts";

type ListingQuery = (tx: Tx, by: Operator) => Promise<unknown>;
interface Listing {
  readonly what: string;
  readonly query: ListingQuery;
  /** Lists the tasks of all tenants, as an admin does. */
  readonly all?: boolean;
}

const PAGE = 50;
const LIVE = TaskStatus.options.filter((status) => !TERMINAL_STATUSES.includes(status));
const YESTERDAY = () => new Date(Date.now() - 86_400_000);
const A_YEAR_AGO = { at: new Date(Date.now() - 365 * 86_400_000), id: "ffffffff-ffff-ffff-ffff-ffffffffffff" };

const tasks =
  (search: Omit<TaskSearch, "limit">): ListingQuery =>
  (tx) =>
    listTaskPage(tx, { ...search, limit: PAGE });

/** Each documented filter of each listing; where a filter may match much or nothing, both cases. */
const LISTINGS: readonly Listing[] = [
  { what: "/tasks", query: tasks({}) },
  { what: "/tasks?cursor, a year back", query: tasks({ before: A_YEAR_AGO }) },
  { what: "/tasks?status=merged", query: tasks({ statuses: ["merged"] }) },
  { what: "/tasks?status=ready", query: tasks({ statuses: ["ready"] }) },
  { what: "/tasks?type=docs", query: tasks({ taskType: "docs" }) },
  { what: "/tasks?type=review, none", query: tasks({ taskType: "review" }) },
  { what: "/tasks?agent=codex", query: tasks({ agentType: "codex" }) },
  { what: "/tasks?agent=stub, hardly any", query: tasks({ agentType: "stub" }) },
  { what: "/tasks?host", query: tasks({ host: "host-3" }) },
  { what: "/tasks?host, none", query: tasks({ host: "nowhere" }) },
  { what: "/tasks?since=yesterday", query: (tx) => listTaskPage(tx, { since: YESTERDAY(), limit: PAGE }) },
  { what: "/tasks?text, in many", query: tasks({ text: "care" }) },
  { what: "/tasks?text, in none", query: tasks({ text: "nobody wrote this" }) },
  { what: "/tasks?mine", query: (tx, by) => listTaskPage(tx, { operatorId: by.id, limit: PAGE }) },
  { what: "/tasks?all", query: tasks({}), all: true },
  { what: "/tasks?all&status=merged", query: tasks({ statuses: ["merged"] }), all: true },
  { what: "/tasks?all&agent=stub", query: tasks({ agentType: "stub" }), all: true },
  { what: "/tasks?all&text, in none", query: tasks({ text: "nobody wrote this" }), all: true },
  { what: "/status", query: countTasksByStatus },
  { what: "/ps", query: liveTasksWithFacts },
  { what: "/orders", query: (tx) => listOrders(tx, { limit: PAGE }) },
  { what: "/orders?status=pending", query: (tx) => listOrders(tx, { status: "pending", limit: PAGE }) },
  { what: "/orders?intent, none", query: (tx) => listOrders(tx, { intent: "gc_runs", limit: PAGE }) },
  { what: "/orders?product", query: (tx) => listOrders(tx, { productId: "shop-3", limit: PAGE }) },
  { what: "/runs", query: (tx, by) => listRuns(tx, by.tenantId, { limit: PAGE }) },
  { what: "/runs?status=failed", query: (tx, by) => listRuns(tx, by.tenantId, { status: "failed", limit: PAGE }) },
  { what: "/runs?intent, none", query: (tx, by) => listRuns(tx, by.tenantId, { intent: "gc_runs", limit: PAGE }) },
  { what: "/events/recent", query: (tx) => listLatestEvents(tx, { limit: PAGE }) },
  { what: "/audit", query: latestEntries },
];

async function liveTasksWithFacts(tx: Tx): Promise<void> {
  const { tasks: living } = await listTaskPage(tx, { statuses: LIVE, limit: 2_000 });
  await listFacts(
    tx,
    living.map(({ id }) => id),
  );
}

/** One page of the audit log, for a reader that goes back this many entries. */
async function latestEntries(tx: Tx): Promise<void> {
  const before = await getNextAuditId(tx);
  await listAuditRecords(tx, {}, { from: Math.max(1, before - 5_000), before, limit: PAGE });
}

export const listingsRow: BenchRow = {
  rows: ["14"],
  what: "listings among a million tasks",
  async measure(world) {
    const { database, tasks: count, seedingMs } = await sharedHistory(world);
    const store = openBenchStore(world, database);
    const repeats = world.size(40, 10);
    const ids = await listSampleIds(database);
    const reference = async () => {
      const times: number[] = [];
      for (let at = 0; at < repeats; at += 1) {
        const tenant = at % TENANTS;
        times.push(
          await timeTransaction(store, asOperator(tenantOperator(tenant)), (tx) => findTask(tx, ids[tenant] ?? "")),
        );
      }
      return computePercentiles(times);
    };
    await reference();
    const lines: ScoreLine[] = [];
    for (const listing of LISTINGS) {
      const ours = async () => {
        const times: number[] = [];
        for (let at = 0; at < repeats; at += 1) {
          // Every fifth request is from the largest tenant, because it lists most.
          const by = tenantOperator(at % 5 === 0 ? 0 : at % TENANTS);
          times.push(await timeTransaction(store, principalFor(listing, by), (tx) => listing.query(tx, by)));
        }
        return computePercentiles(times);
      };
      await ours();
      const samples = await interleave(world.rounds, ours, reference);
      const { wrong, plan } = await checkPlans(store, listing);
      const p99 = computeQuartiles(pickFigure(samples.ours, "p99")).median;
      const options = {
        row: "14",
        what: `${listing.what}, p50 of ${count.toLocaleString("en-US")} tasks`,
        reference: "a task by its key",
        unit: "ms",
        target: { atMost: 10 },
        wrong: world.quick ? [] : wrong,
        notes: [`p99 ${p99.toFixed(1)} ms; ${plan}`],
        reason: "as many rows to read, parse and count as it shows",
      };
      lines.push(toScoreLine(options, pickFigure(samples.ours, "p50"), pickFigure(samples.theirs, "p50")));
    }
    const seeding = { row: "14", what: "seeding all that", reference: "–", unit: "s", compared: "value" } as const;
    return [...lines, toScoreLine(seeding, [seedingMs / 1_000])];
  },
};

function principalFor({ all = false }: Listing, by: Operator): Principal {
  return all ? SYSTEM : asOperator(by);
}

async function timeTransaction(store: Store, on: Principal, work: (tx: Tx) => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await store.transaction(on, work);
  return performance.now() - from;
}

/** For the largest tenant and a small one: which growing tables are read by a sequential scan, and which indexes serve the rest. */
async function checkPlans(store: Store, listing: Listing): Promise<{ wrong: string[]; plan: string }> {
  const wrong = new Set<string>();
  let plan = "";
  for (const tenant of [TENANTS - 1, 0]) {
    const by = tenantOperator(tenant);
    const plans = await explainStatements(store, principalFor(listing, by), (tx) => listing.query(tx, by));
    for (const table of seqScannedTables(plans).filter((name) => isGrowing(name))) wrong.add(`${table} is read whole`);
    plan = summarizePlans(plans);
  }
  return { wrong: [...wrong], plan };
}

/** Maps partitions to the name of their table. */
function isGrowing(table: string): boolean {
  return GROWING_TABLES.some((name) => table === name || table.startsWith(`${name}_`));
}

/** One task of each tenant. */
async function listSampleIds(database: Database): Promise<string[]> {
  const rows = await database.query(
    `select (select id from fleet_tasks t where t.tenant_id = o.tenant_id and t.removed_at is null limit 1) as id
     from (select distinct tenant_id from operators where starts_with(tenant_id, 'tenant-')) o order by tenant_id`,
  );
  return rows.map(({ id }) => String(id));
}
