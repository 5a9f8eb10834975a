/** How PostgreSQL finds orders, runs and evidence among many: by index, under row security too. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findArtifact, listArtifacts } from "../../src/store/artifacts.ts";
import * as claims from "../../src/store/order-claims.ts";
import * as orders from "../../src/store/orders.ts";
import { countOpenPullRequests } from "../../src/store/pull-requests.ts";
import * as runs from "../../src/store/runs.ts";
import type { Tx } from "../../src/store/sql.ts";
import { explainStatements, seqScannedTables } from "../support/plans.ts";
import { testStore, type TestStore } from "../support/store.ts";
import { type Principal, SYSTEM, asOperator } from "../../src/store/principal.ts";

let world: TestStore;

const id = randomUUID();
const ada = asOperator({ id: "op-7", tenantId: "tenant-7" });
const claim = { orderId: id, epoch: 1, worker: "w" };

beforeAll(async () => {
  world = await testStore();
  await world.query(`begin; set local session_replication_role = replica;
    insert into work_orders (id, tenant_id, operator_id, product_id, intent, budget, source, status, priority, batch_id,
      requested_at, due_at, lease_until, completed_at, created_at, subject)
    select gen_random_uuid(), 'tenant-' || n % 10, 'op-' || n % 100, 'p' || n % 200, (array['validate', 'test'])[1 + n % 2],
      '{"max_actions": 1}', 'plan', s.status, n % 100, gen_random_uuid(), case when n % 3 = 0 then now() end,
      case when s.status = 'pending' and n % 3 = 0 then now() end, case when s.status = 'running' then now() end,
      case when s.status in ('completed', 'failed', 'skipped') then now() end, now() - n * interval '1 minute', n::text
    from generate_series(1, 30000) n cross join lateral (select case when n % 100 < 2 then
      (array['pending', 'running'])[1 + (n / 100) % 2] else (array['completed', 'failed', 'skipped'])[1 + n % 3] end as status) s;
    insert into runs (id, tenant_id, operator_id, order_id, product_id, intent, host, status, started_at, ended_at)
    select gen_random_uuid(), tenant_id, operator_id, id, product_id, intent, 'host-' || right(id::text, 1),
      case status when 'running' then 'in_progress' when 'completed' then 'success' when 'skipped' then 'cancelled'
        else 'failed' end, created_at, case when status <> 'running' then created_at end
    from work_orders where status <> 'pending';
    insert into artifacts (id, tenant_id, operator_id, run_id, name, media_type, size_bytes, sha256, bytes)
    select gen_random_uuid(), tenant_id, operator_id, id, 'output.log', 'text/plain', 1, 'x', '' from runs;
    insert into pull_requests (repository, number, task_id, tenant_id, operator_id, title, head_branch, base_branch, head_sha,
      base_sha, state, opened_by, attempt)
    select 'r' || n % 100, n, gen_random_uuid(), 'tenant-' || n % 10, 'op-1', 't', 'h' || n, 'main', 'a', 'b',
      case when n % 50 = 0 then 'open' else 'merged' end, 'agent', 0 from generate_series(1, 5000) n;
    commit; analyze work_orders; analyze runs; analyze artifacts; analyze pull_requests`);
}, 60_000);

afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

const before = { at: new Date(), id };
const LISTINGS: Readonly<Record<string, readonly [Principal, (tx: Tx) => Promise<unknown>]>> = {
  "a tenant's orders": [ada, (tx) => orders.listOrders(tx, { limit: 50 })],
  "the next page of them": [ada, (tx) => orders.listOrders(tx, { before, limit: 50 })],
  "those of a product": [ada, (tx) => orders.listOrders(tx, { productId: "p7", limit: 50 })],
  "those in a status": [ada, (tx) => orders.listOrders(tx, { status: "running", limit: 50 })],
  "those of a batch": [ada, (tx) => orders.listOrders(tx, { batchId: id, limit: 50 })],
  "one by short name": [ada, (tx) => orders.listOrdersByName(tx, "tenant-7", "12ab34cd", 6)],
  "what is pending": [ada, (tx) => orders.listPendingOrders(tx, { tenantId: "tenant-7", products: ["p7"], limit: 10 })],
  "asking for some": [SYSTEM, (tx) => orders.requestOrders(tx, [id], id)],
  "whose turn is next": [SYSTEM, (tx) => orders.advanceBatches(tx, [id])],
  "a claim": [SYSTEM, (tx) => claims.claimOrder(tx, { ...claim, host: "h", leaseMs: 1 })],
  "a lease": [SYSTEM, (tx) => claims.renewOrderLease(tx, claim, 1)],
  "the rest of a batch": [SYSTEM, (tx) => claims.skipBatch(tx, id, { reason: "r", at: new Date() })],
  "overdue orders": [SYSTEM, (tx) => claims.listOverdueOrders(tx, 1_000, 100)],
  "expired orders": [SYSTEM, (tx) => claims.lockExpiredOrders(tx, 100)],
  "orders that are taken over": [
    SYSTEM,
    (tx) => claims.takeOverOrders(tx, [id], { maxCrashes: 5, reason: "r", at: new Date() }),
  ],
  "a tenant's runs": [ada, (tx) => runs.listRuns(tx, "tenant-7", { limit: 50 })],
  "the next page of runs": [ada, (tx) => runs.listRuns(tx, "tenant-7", { before: { at: new Date(), id }, limit: 50 })],
  "a product's runs": [ada, (tx) => runs.listRuns(tx, "tenant-7", { productId: "p7", limit: 50 })],
  "an order's runs": [ada, (tx) => runs.listRunsOfOrder(tx, id)],
  "a run by short name": [ada, (tx) => runs.listRunsByName(tx, "tenant-7", "12ab34cd", 6)],
  "a host's runs without evidence": [SYSTEM, (tx) => runs.listUnsealedRuns(tx, "host-7", 20)],
  "which runs are open": [SYSTEM, (tx) => runs.listOpenRunIds(tx, [id])],
  "a run's evidence": [ada, (tx) => listArtifacts(tx, id)],
  "one piece of it": [ada, (tx) => findArtifact(tx, id, "output.log")],
  "open pull requests": [SYSTEM, (tx) => countOpenPullRequests(tx, "tenant-7", "r7")],
};

test.each(Object.entries(LISTINGS))("among 30,000 orders an index finds %s", async (_, [on, ask]) => {
  const plans = await explainStatements(world.store, on, ask);

  expect(plans.length).toBeGreaterThan(0);
  expect(seqScannedTables(plans).filter((table) => table !== "ci_runs")).toEqual([]);
});
