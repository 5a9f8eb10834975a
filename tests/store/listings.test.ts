/**
 * Every listing over tables that keep growing is covered: its query plan is checked here or with many rows, or a
 * reason is given.
 */
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { listAttempts } from "../../src/store/attempts.ts";
import { listDenials } from "../../src/store/audit.ts";
import * as reading from "../../src/store/audit-reading.ts";
import { listCiRuns } from "../../src/store/ci-runs.ts";
import { listKnownRunIds } from "../../src/store/gc.ts";
import { listActiveAgents } from "../../src/store/heartbeats.ts";
import { listNotificationsByKey } from "../../src/store/notifications.ts";
import { countOpenOfSchedule } from "../../src/store/orders.ts";
import { listPullRequests } from "../../src/store/pull-requests.ts";
import { listReviews } from "../../src/store/reviews.ts";
import { listLatestRuns } from "../../src/store/runs.ts";
import type { Tx } from "../../src/store/sql.ts";
import { listTasksById } from "../../src/store/tasks.ts";
import { explainStatements, seqScannedTables } from "../support/plans.ts";
import { testStore, type TestStore } from "../support/store.ts";
import { asOperator } from "../../src/store/principal.ts";

const STORE = join(import.meta.dirname, "..", "..", "src", "store");
const GROWING =
  /\b(?:from|join) (?:fleet_tasks|audit_log|outbox|work_orders|runs|fleet_notifications|attempts|heartbeats|artifacts|ci_runs|reviews|pull_requests)\b/;
/** Where plans are checked with many rows. */
const AMONG_MANY = ["plans.test.ts", "order-plans.test.ts"]
  .map((name) => readFileSync(join(import.meta.dirname, name), "utf8"))
  .join("\n");

const id = randomUUID();
/**
 * With few rows the planner's choice proves nothing, but that an index can serve the query shows with no rows at all.
 */
const SERVED: Readonly<Record<string, (tx: Tx) => Promise<unknown>>> = {
  listAttempts: (tx) => listAttempts(tx, id),
  listCiRuns: (tx) => listCiRuns(tx, [id]),
  listReviews: (tx) => listReviews(tx, [id]),
  listPullRequests: (tx) => listPullRequests(tx, [id]),
  listDenials: (tx) => listDenials(tx, { from: 1, minutes: 5 }),
  listNotificationsByKey: (tx) => listNotificationsByKey(tx, "test/1"),
  listTasksById: (tx) => listTasksById(tx, [id]),
  listKnownRunIds: (tx) => listKnownRunIds(tx, [id]),
  listActiveAgents: (tx) => listActiveAgents(tx, "host-1"),
  listLatestRuns: (tx) => listLatestRuns(tx, "acme"),
  countOpenOfSchedule: (tx) => countOpenOfSchedule(tx, "acme", "nightly"),
  listAuditRecords: (tx) => reading.listAuditRecords(tx, {}, { from: 1, before: 2, limit: 1 }),
  listChainRecords: (tx) => reading.listChainRecords(tx, `task:${id}`, {}, { before: 2, limit: 1 }),
  listChains: (tx) => reading.listChains(tx, "", 1),
};

const SEEN_TO = "processors ask it, for what is at work now; a partial index or a limit bounds it";
const SELDOM = "it is asked on schedule or by an audit, and reads whole chains on purpose";
/** Listings whose plan needs no check here, and why. */
const EXCUSED: Readonly<Record<string, string>> = {
  listUncollectedRuns: SEEN_TO,
  listTasksInUse: SEEN_TO,
  listOrdersForSubjects: SEEN_TO,
  listPausedTasksOnHost: SEEN_TO,
  listOrphanedPauses: SEEN_TO,
  listAbortableTasks: SEEN_TO,
  listSlotDrift: SELDOM,
  listHeadComparisons: SELDOM,
  listExportRecords: SELDOM,
  listUncoveredChains: SELDOM,
};

const listings = readdirSync(STORE)
  .filter((file) => file.endsWith(".ts"))
  .flatMap((file) => readFileSync(join(STORE, file), "utf8").split(/(?=^export async function )/m))
  .flatMap((text) => {
    const name = /^export async function ((?:list|count|page)[A-Z]\w*)\(\s*tx\b/.exec(text)?.[1];
    return name !== undefined && GROWING.test(text) ? [name] : [];
  });

let world: TestStore;
beforeAll(async () => {
  world = await testStore();
});
afterAll(() => world[Symbol.asyncDispose]());

test.each(listings)("the plan of %s is checked, or a reason is given", (name) => {
  const isAmongMany = new RegExp(`\\b${name}\\(`).test(AMONG_MANY);

  expect([isAmongMany, Object.hasOwn(SERVED, name), Object.hasOwn(EXCUSED, name)].filter(Boolean)).toHaveLength(1);
});

test("every name in these lists still exists", () => {
  const named = [...Object.keys(SERVED), ...Object.keys(EXCUSED)];

  expect(listings.length).toBeGreaterThan(20);
  expect(named.filter((name) => !listings.includes(name))).toEqual([]);
});

describe("an index can serve", () => {
  test.each(Object.entries(SERVED))("%s", async (_, ask) => {
    const plans = await explainStatements(world.store, asOperator({ id: "ada", tenantId: "acme" }), async (tx) => {
      await tx.many(z.unknown())`select set_config('enable_seqscan', 'off', true)`;
      await ask(tx);
    });

    expect(seqScannedTables(plans)).toEqual([]);
  });
});
