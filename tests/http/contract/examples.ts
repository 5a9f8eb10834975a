/**
 * One valid request for each operation of the API, in an order in which all of them can succeed. An operation that is
 * missing here fails the contract test.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { v7 } from "uuid";
import { syncSchedules } from "../../../src/conductor/schedules/files.ts";
import type { Operator } from "../../../src/domain/operator.ts";
import { mergeFindings } from "../../../src/store/drift.ts";
import { aScheduleFile } from "../../support/schedules.ts";
import type { WebWorld } from "../web-world.ts";

export interface Example {
  readonly operation: string;
  /** The operator who calls; ada, the owner, by default. */
  readonly by?: (world: WebWorld) => Operator;
  /** Values for `{name}` in the path; those of the test world by default. */
  readonly params?: Readonly<Record<string, (world: WebWorld) => string>>;
  readonly query?: string;
  readonly body?: (world: WebWorld) => object;
  readonly headers?: Readonly<Record<string, string>>;
  /** The expected status; 200 by default. */
  readonly status?: number;
  readonly before?: (world: WebWorld) => Promise<unknown>;
  /** The operation creates the resource when it does not exist. */
  readonly makes?: boolean;
  /** The operation succeeds only while a host is running. */
  readonly byHost?: boolean;
}

const root = (world: WebWorld) => world.root;
const task = (of: (world: WebWorld) => { readonly id: string }) => ({ task: (world: WebWorld) => of(world).id });
const ready = task((world) => world.ready);
const running = task((world) => world.running);
const spawnBody = (world: WebWorld) => ({
  repository: world.repository,
  description: "By contract.",
  agentType: "stub",
});
const key = { "idempotency-key": "contract" };
const reason = () => ({ reason: "because" });
const setting = { key: () => "notify.channels" };
const shop = { product: () => "shop" };
const product = () => ({ scope: "product", subject: "shop", reason: "because" });

const nina = ({ ada }: WebWorld) => ({ operator: "nina", tenant: ada.tenantId, tier: "builder" });

export const EXAMPLES: readonly Example[] = [
  { operation: "postSpawn", body: spawnBody, headers: key, status: 201 },
  { operation: "postSpawn", body: spawnBody, headers: key },
  { operation: "getStatus" },
  { operation: "getTasks", query: "limit=1" },
  { operation: "getTasksTask", params: ready },
  { operation: "getTasksTaskStory", params: ready },
  { operation: "getTasksTaskLogs", params: ready, query: "lines=5" },
  { operation: "getTasksTaskLogsFollow", params: ready },
  { operation: "getTasksTaskEvents", params: ready },
  { operation: "getEvents", headers: { "last-event-id": "0-0" } },
  { operation: "getEventsRecent", query: "limit=3" },
  { operation: "getPs" },
  { operation: "getHosts" },
  { operation: "getBudgets" },
  { operation: "postBudgets", by: root, body: () => ({ tenant: "acme", dailyTasks: 1_000 }) },
  { operation: "postTasksTaskReject", params: ready, body: () => ({ comment: "Once more." }) },
  { operation: "postTasksTaskRetry", params: ready, body: reason },
  { operation: "postTasksTaskMerge", params: { task: () => mergeable }, body: () => ({}), before: anotherReady },
  { operation: "postTasksTaskStop", params: running, body: reason },
  { operation: "deleteTasksTask", params: running },
  { operation: "getDrift" },
  { operation: "postDriftCheck", body: () => ({}), status: 202 },
  { operation: "postDriftFindingAccept", params: { finding: () => FINDING }, body: reason, before: aFinding },
  { operation: "getScience" },
  { operation: "postScienceRefresh", body: () => ({}), status: 202 },
  { operation: "postGc", body: () => ({ dryRun: true }), byHost: true },
  { operation: "getAudit", query: "limit=2" },
  { operation: "getAuditExport", query: "limit=2" },
  { operation: "getAuditVerify" },
  { operation: "postAuditCheckpoint", by: root, status: 201 },
  { operation: "getInvariants" },
  { operation: "postEstop", body: product },
  { operation: "getEstop" },
  { operation: "postEstopRelease", body: () => ({ scope: "product", subject: "shop" }) },
  { operation: "getProducts" },
  { operation: "postProductsProductKill", params: shop, body: reason },
  { operation: "postProductsProductRelease", params: shop },
  { operation: "postPlan", body: () => ({ budget: 1 }) },
  { operation: "getPlans" },
  { operation: "getPlansPlan" },
  { operation: "postPlansPlanReplay" },
  { operation: "getOrders", query: "limit=1" },
  { operation: "postOrders", body: () => ({ productId: "shop", intent: "regenerate_report" }), status: 201 },
  { operation: "postOrders", body: () => ({ productId: "shop", intent: "regenerate_report" }) },
  { operation: "getOrdersOrder" },
  { operation: "postOrdersRun", body: () => ({ dryRun: true }) },
  { operation: "postOrdersOrderRun", body: () => ({ dryRun: true }), params: { order: theOpenOrder } },
  { operation: "getRuns" },
  { operation: "getRunsRun", query: "verify=true" },
  { operation: "getRunsRunArtifactsName" },
  { operation: "postRunsRunPin", body: () => ({}) },
  { operation: "postRunsRunUnpin" },
  { operation: "getSchedules", before: aSchedule },
  { operation: "postSchedulesProductPause", params: shop, body: reason },
  { operation: "postSchedulesProductResume", params: shop },
  { operation: "postSchedulesProductRun", params: shop, status: 201 },
  { operation: "postProductsProductPushed", params: shop, body: () => ({}) },
  { operation: "postLoginLinks", status: 201 },
  { operation: "getConfig" },
  { operation: "putConfigKey", params: setting, body: () => ({ value: ["terminal"] }) },
  { operation: "deleteConfigKey", params: setting },
  { operation: "postConfigReseal", by: root },
  { operation: "postNotificationsTest", body: () => ({}), status: 202 },
  { operation: "getOperators", by: root, query: "limit=2" },
  { operation: "postOperators", by: root, body: nina },
  { operation: "postOperatorsOperatorDisable", by: root, params: { operator: () => "nina" } },
  { operation: "postOperatorsOperatorEnable", by: root, params: { operator: () => "nina" } },
  { operation: "postTokens", by: root, body: nina, status: 201 },
  { operation: "getTokens", query: "limit=2&cursor=0" },
  { operation: "postTokensTokenRevoke", by: root, params: { token: () => issuedId }, body: () => ({}) },
  { operation: "getKeys", by: root },
  { operation: "postKeysRotate", by: root, body: () => ({}), status: 201 },
  { operation: "postKeysKeyRevoke", by: root, params: { key: () => oldKey } },
];

const FINDING = v7();
/** The operation succeeds only after an earlier request. */
const PENDING_ID = "00000000";
let mergeable = PENDING_ID;
let openOrder = PENDING_ID;
let oldKey = PENDING_ID;
let issuedId = PENDING_ID;

/** Values from earlier responses that later requests need. */
export function recordAnswer(operation: string, body: unknown): void {
  if (operation === "postOrders") openOrder = textAt(body, "id");
  if (operation === "postTokens") issuedId = textAt(body, "id");
  if (operation === "postKeysRotate" && typeof body === "object" && body !== null && "keys" in body) {
    oldKey = Array.isArray(body.keys) ? textAt(body.keys.at(-1), "kid") : "";
  }
}

function textAt(value: unknown, name: string): string {
  return typeof value === "object" && value !== null ? String(Reflect.get(value, name)) : "";
}

function theOpenOrder(): string {
  return openOrder;
}

async function anotherReady({ fleet, ada, repository }: WebWorld): Promise<void> {
  mergeable = (await fleet.spawn(ada, { repository })).id;
  await fleet.runUntil(mergeable, "ready");
}

function aFinding({ fleet, ada }: WebWorld): Promise<unknown> {
  const owner = { tenantId: ada.tenantId, operatorId: ada.id };
  const finding = { what: "branch", productId: "shop", declared: "main", actual: "trunk", severity: "low" } as const;
  return fleet.fleet.store.asSystem((tx) =>
    mergeFindings(tx, owner, {
      at: new Date(),
      subjects: [],
      findings: [{ id: FINDING, subject: "product:shop", command: null, host: null, ...finding }],
    }),
  );
}

async function aSchedule({ fleet }: WebWorld): Promise<void> {
  const folder = fleet.config.FLEET_SCHEDULES ?? "";
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "shop.json"), JSON.stringify(aScheduleFile("shop")));
  await syncSchedules(fleet.fleet);
}
