/** Asking hosts to collect: those who hold files are asked through their own queues, and answer in a row. */
import { setTimeout as pause } from "node:timers/promises";
import { read } from "../../domain/errors.ts";
import { HostGcReport } from "../../domain/gc/report.ts";
import type { Operator } from "../../domain/operator.ts";
import { askHosts, finishReport, listOpenReports, listReports, type GcAsk, type GcReport } from "../../store/gc.ts";
import { listHosts } from "../../store/hosts.ts";
import { auditOperator } from "../../store/operators.ts";
import { WORKER } from "../../store/store.ts";
import { factoryOperator } from "../system-operator.ts";
import type { Fleet } from "../fleet.ts";
import { getProduct } from "../products/products.ts";
import { collectGarbage } from "./collect.ts";
import { HOUSE_TENANT } from "./marks.ts";

/** Behind a request: as long as its asker waits. */
const PATIENCE_MS = 20_000;
const LOOK_EVERY_MS = 50;
const MOST_OPEN = 20;

export interface GcAnswer {
  readonly dryRun: boolean;
  readonly reports: readonly HostGcReport[];
  /** Hosts that have not answered yet; what they were asked, they do. */
  readonly waiting: readonly string[];
}

export interface GcWish {
  readonly dryRun: boolean;
  readonly product?: string | undefined;
}

/** A tenant's builder collects the runs of its products; who may see everything, also what belongs to the machines. */
export async function askGc(
  fleet: Fleet,
  by: Operator,
  { dryRun, product }: GcWish,
  signal?: AbortSignal,
): Promise<GcAnswer> {
  const productId = product === undefined ? null : getProduct(fleet, by.tenantId, product).id;
  const isAdmin = by.role === "admin";
  const tenantId = isAdmin && productId === null ? null : by.tenantId;
  const ask: GcAsk = { dryRun, tenantId, productId, machine: isAdmin && productId === null };
  const ids = await sendAsk(fleet, by, ask);
  const reports = await waitFor(fleet, ids, signal);
  return {
    dryRun,
    reports: reports.flatMap(({ doneAt, report }) => (doneAt ? [read(HostGcReport, report)] : [])),
    waiting: reports.filter(({ doneAt }) => !doneAt).map(({ host }) => host),
  };
}

/** By the clock: every host, everything. */
export async function askAllHosts(fleet: Fleet): Promise<void> {
  const house = await factoryOperator(fleet, HOUSE_TENANT);
  await sendAsk(fleet, house, { dryRun: false, tenantId: null, productId: null, machine: true });
}

/** A host job: what was asked is done once, and a second hint finds it done. Undefined when another process is at it. */
export async function answerGc(fleet: Fleet, reportId: string): Promise<boolean> {
  const [open] = await fleet.store.transaction(WORKER, (tx) => listReports(tx, [reportId]));
  if (!open || open.doneAt || open.host !== fleet.host.id) return false;
  return answer(fleet, open);
}

/** A duty of the host: what it was asked, and whose hint was lost or whose worker died. */
export async function answerOpenGc(fleet: Fleet): Promise<number> {
  const open = await fleet.store.transaction(WORKER, (tx) => listOpenReports(tx, fleet.host.id, MOST_OPEN));
  let answered = 0;
  for (const report of open) if (await answer(fleet, report)) answered += 1;
  return answered;
}

async function answer(fleet: Fleet, { id, ask }: GcReport): Promise<boolean> {
  const report = await collectGarbage(fleet, ask);
  if (!report) return false; // another process of this host is at it; the duty comes back to this one
  await fleet.store.transaction(WORKER, (tx) => finishReport(tx, id, report));
  const { gone, swept, more } = report;
  fleet.log.info({ event: "gc.host", dryRun: ask.dryRun, gone: gone.length, swept: swept.length, more }, "collected");
  return true;
}

async function sendAsk(fleet: Fleet, by: Operator, ask: GcAsk): Promise<string[]> {
  const ids = await fleet.store.transaction(WORKER, async (tx) => {
    const hosts = (await listHosts(tx)).filter(({ alive }) => alive);
    const asks = hosts.map((host) => ({ id: fleet.newId(), host: host.id, askedBy: by.id, ask }));
    await askHosts(tx, asks);
    if (!ask.dryRun) {
      const detail = { product: ask.productId, hosts: hosts.map(({ id }) => id) };
      await auditOperator(tx, { operatorId: by.id, actor: by.id, action: "gc.asked", detail });
    }
    return asks.map(({ id }) => id);
  });
  fleet.kickRelay();
  return ids;
}

async function waitFor(fleet: Fleet, ids: readonly string[], signal?: AbortSignal): Promise<GcReport[]> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const reports = await fleet.store.transaction(WORKER, (tx) => listReports(tx, ids));
    const isOver = reports.every(({ doneAt }) => doneAt !== null) || performance.now() > deadline;
    if (isOver || signal?.aborted) return reports;
    await pause(LOOK_EVERY_MS);
  }
}
