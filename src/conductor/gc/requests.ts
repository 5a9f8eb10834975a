/** Requesting gc: each host that has files gets a job in its own queue and stores its report in a row. */
import { setTimeout as pause } from "node:timers/promises";
import { parseInput } from "../../domain/errors.ts";
import { HostGcReport } from "../../domain/gc/report.ts";
import type { Operator } from "../../domain/operator.ts";
import { SYSTEM_TENANT } from "../../domain/tenant.ts";
import {
  insertGcRequests,
  completeGcReport,
  listOpenGcReports,
  listGcReports,
  type HostGcRequest,
  type GcReport,
} from "../../store/gc.ts";
import { listHosts } from "../../store/hosts.ts";
import { auditBy } from "../../store/operators.ts";
import type { Fleet } from "../fleet.ts";
import { getProduct } from "../products/find.ts";
import { collectGarbage } from "./collect.ts";
import { ensureSystemOperator } from "../scope.ts";

/** How long an HTTP request waits for the reports. */
const REPORT_TIMEOUT_MS = 20_000;
const POLL_MS = 50;
const MAX_OPEN_REPORTS = 20;

export interface GcResult {
  readonly dryRun: boolean;
  readonly reports: readonly HostGcReport[];
  /** Hosts that have not reported yet; they still do what was requested. */
  readonly waiting: readonly string[];
}

export interface GcOptions {
  readonly dryRun: boolean;
  readonly product?: string | undefined;
}

/** Operators collect the runs of their tenant's products; admins also what belongs to the machines. */
export async function runGc(
  fleet: Fleet,
  by: Operator,
  { dryRun, product }: GcOptions,
  signal?: AbortSignal,
): Promise<GcResult> {
  const productId = product === undefined ? null : getProduct(fleet, by.tenantId, product).id;
  const isAdmin = by.role === "admin";
  const tenantId = isAdmin && productId === null ? null : by.tenantId;
  const request: HostGcRequest = { dryRun, tenantId, productId, machine: isAdmin && productId === null };
  const ids = await sendGcRequests(fleet, by, request);
  const reports = await waitForReports(fleet, ids, signal);
  return {
    dryRun,
    reports: reports.flatMap(({ doneAt, report }) => (doneAt ? [parseInput(HostGcReport, report)] : [])),
    waiting: reports.filter(({ doneAt }) => !doneAt).map(({ host }) => host),
  };
}

/** The scheduled run: every host collects everything. */
export async function requestFullGc(fleet: Fleet): Promise<void> {
  const system = await ensureSystemOperator(fleet, SYSTEM_TENANT);
  await sendGcRequests(fleet, system, { dryRun: false, tenantId: null, productId: null, machine: true });
}

/** Handles a host job. False when the request is done already, is for another host, or another process is collecting. */
export async function handleGcJob(fleet: Fleet, reportId: string): Promise<boolean> {
  const [open] = await fleet.store.asSystem((tx) => listGcReports(tx, [reportId]));
  if (!open || open.doneAt || open.host !== fleet.host.id) return false;
  return runGcRequest(fleet, open);
}

/** A duty of the host: it handles requests whose hint was lost or whose worker died. */
export async function runOpenGcRequests(fleet: Fleet): Promise<number> {
  const open = await fleet.store.asSystem((tx) => listOpenGcReports(tx, fleet.host.id, MAX_OPEN_REPORTS));
  let completed = 0;
  for (const report of open) if (await runGcRequest(fleet, report)) completed += 1;
  return completed;
}

async function runGcRequest(fleet: Fleet, { id, ask }: GcReport): Promise<boolean> {
  const report = await collectGarbage(fleet, ask);
  if (!report) return false; // another process of this host is collecting; the next duty tries this request again
  await fleet.store.asSystem((tx) => completeGcReport(tx, id, report));
  const { gone, swept, more } = report;
  fleet.log.info({ event: "gc.host", dryRun: ask.dryRun, gone: gone.length, swept: swept.length, more }, "gc finished");
  return true;
}

async function sendGcRequests(fleet: Fleet, by: Operator, request: HostGcRequest): Promise<string[]> {
  const ids = await fleet.store.asSystem(async (tx) => {
    const hosts = (await listHosts(tx)).filter(({ alive }) => alive);
    const requests = hosts.map((host) => ({ id: fleet.newId(), host: host.id, askedBy: by.id, ask: request }));
    await insertGcRequests(tx, requests);
    if (!request.dryRun) {
      await auditBy(tx, by, "gc.asked", { product: request.productId, hosts: hosts.map(({ id }) => id) });
    }
    return requests.map(({ id }) => id);
  });
  fleet.kickRelay();
  return ids;
}

async function waitForReports(fleet: Fleet, ids: readonly string[], signal?: AbortSignal): Promise<GcReport[]> {
  const deadline = performance.now() + REPORT_TIMEOUT_MS;
  for (;;) {
    const reports = await fleet.store.asSystem((tx) => listGcReports(tx, ids));
    const isOver = reports.every(({ doneAt }) => doneAt !== null) || performance.now() > deadline;
    if (isOver || signal?.aborted) return reports;
    await pause(POLL_MS);
  }
}
