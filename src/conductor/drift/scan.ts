/** Drift scans: observe products and the fleet, compare them with what is declared, and store the differences. Read-only. */
import type { DriftJob } from "../../../queues/drift.ts";
import { compareDrift } from "../../domain/drift/drift.ts";
import { driftEvent, driftMessage, type Drift } from "../../domain/drift/report.ts";

import type { Product } from "../../domain/product.ts";
import { listBaselines, listOpenDrift, mergeFindings, insertBaselines, upsertScans } from "../../store/drift.ts";
import { listHosts } from "../../store/hosts.ts";

import { insertEvents } from "../../store/outbox.ts";
import type { Tx } from "../../store/sql.ts";
import { surveyProduct } from "../../survey/product.ts";
import { surveyFleet, type FleetSurvey } from "./fleet-survey.ts";
import type { Fleet } from "../fleet.ts";
import { notifyAboutFleet } from "../notify/about-fleet.ts";
import {
  FLEET_SUBJECT,
  scanProduct,
  scanInRounds,
  scannableProducts,
  scanRound,
  productSubject,
  listTenants,
  listUnreadable,
  type ProductScan,
} from "./rounds.ts";
import { getProduct } from "../products/find.ts";
import type { Host } from "../../domain/host.ts";
import { SYSTEM_TENANT } from "../../domain/tenant.ts";
import type { Baseline, NotChecked, DriftReport } from "../../domain/drift/finding.ts";
import { ensureSystemOperator } from "../scope.ts";

type ObservedProduct = Awaited<ReturnType<typeof surveyProduct>>;

/** The report of a scan, and those of its findings that are new. */
export interface DriftScan {
  readonly report: DriftReport;
  readonly newFindings: readonly Drift[];
}

/** Handles a job of the queue. A scheduled scan skips a tenant that another worker is scanning. */
export async function scanForDrift(
  fleet: Fleet,
  job: Extract<DriftJob, { kind: "fleet" | "requested" }>,
  signal: AbortSignal,
): Promise<void> {
  if (job.kind === "fleet") {
    for (const tenantId of listTenants(fleet)) {
      if (!signal.aborted) await scanTenantDrift(fleet, tenantId, { lock: `drift/${tenantId}`, signal });
    }
  } else if (job.productId === undefined) {
    await scanTenantDrift(fleet, job.tenantId, { signal });
  } else {
    await scanProductDrift(fleet, getProduct(fleet, job.tenantId, job.productId));
  }
}

interface ScanOptions {
  /** Prevents concurrent scans; left out when somebody waits for this very scan. */
  readonly lock?: string;
  readonly signal?: AbortSignal;
}

/** Scans all products of a tenant; for the system tenant, the fleet itself too. Each round stores and reports its findings. */
export async function scanTenantDrift(
  fleet: Fleet,
  tenantId: string,
  { lock, signal }: ScanOptions = {},
): Promise<void> {
  await scanInRounds(fleet, lock, scannableProducts(fleet, tenantId), async (products, isFirst) => {
    const at = fleet.clock();
    const { scans, rest } = await scanRound(fleet, products, ({ id }, commit) => surveyProduct(id, commit), signal);
    const survey = isFirst && tenantId === SYSTEM_TENANT ? await surveyFleet(fleet) : undefined;
    await saveScan(fleet, { tenantId, at, scans, survey, coversAllProducts: isFirst });
    return rest;
  });
}

/** Scans one product now, for an order or a request. A product that cannot be read is reported as not checked. */
export async function scanProductDrift(
  fleet: Fleet,
  product: Product,
): Promise<DriftScan & { readonly headSha: string | null }> {
  const at = fleet.clock();
  const scan = await scanProduct(fleet, product, ({ id }, commit) => surveyProduct(id, commit));
  const saved = await saveScan(fleet, {
    tenantId: product.tenant,
    at,
    scans: [scan],
    survey: undefined,
    coversAllProducts: false,
  });
  return { ...saved, headSha: scan.commitSha };
}

interface TenantScan {
  readonly tenantId: string;
  readonly at: Date;
  readonly scans: readonly ProductScan<ObservedProduct>[];
  readonly survey: FleetSurvey | undefined;
  /** The scan covers all products of the tenant, so findings about other products no longer exist. */
  readonly coversAllProducts: boolean;
}

/** Compares and stores in one transaction, with the notification of new findings. The number of statements is constant. */
async function saveScan(fleet: Fleet, scan: TenantScan): Promise<DriftScan> {
  const { tenantId, at, scans } = scan;
  const { id: operatorId } = await ensureSystemOperator(fleet, tenantId);
  const owner = { tenantId, operatorId };
  const result = await fleet.store.asSystem(async (tx) => {
    const report = await compare(tx, fleet, scan);
    const findings = report.findings.map((finding) => Object.assign({ id: fleet.newId() }, finding));
    const subjects = [...report.subjects, ...(await findRemovedSubjects(tx, fleet, scan))];
    const newFindings = await mergeFindings(tx, owner, { at, subjects, findings });
    await insertBaselines(tx, owner, { at, by: fleet.worker, baselines: report.firstSeen });
    const notChecked = [...listUnreadable(scans), ...report.notChecked];
    await upsertScans(tx, owner, "drift", toScanRows(scan, notChecked));
    await publishNewDrift(tx, fleet, { ...owner, at, newFindings });
    return { report: { ...report, notChecked }, newFindings };
  });
  fleet.kickRelay();
  return result;
}

async function compare(tx: Tx, fleet: Fleet, { tenantId, at, scans, survey }: TenantScan): Promise<DriftReport> {
  const seen = scans.flatMap((one) => one.seen ?? []);
  const hosts = (await listHosts(tx)).map((host) => withCurrentConfig(host, fleet, survey));
  const subjects = [
    ...seen.map(({ id }) => productSubject(id)),
    ...(survey ? ["schedules", "database"] : []),
    ...(survey?.declared.roster ?? []).map(({ name }) => `roster:${name}`),
    ...(survey ? hosts.map(({ id }) => `host:${id}`) : []),
  ];
  const baselines: readonly Baseline[] = await listBaselines(tx, tenantId, subjects);
  const declared = { products: scans.map(({ product }) => product), fleet: survey?.declared };
  return compareDrift(declared, { products: seen, hosts, fleet: survey?.actual }, baselines, at);
}

/** The row of this process's own host is a tick old; a fleet.yaml that was read again since then is no drift. */
function withCurrentConfig(host: Host, { worker }: Fleet, survey: FleetSurvey | undefined): Host {
  if (!survey || host.reporter !== worker || host.versions["config"] === undefined) return host;
  return { ...host, versions: { ...host.versions, config: survey.declared.configuration } };
}

type NewScan = Parameters<typeof upsertScans>[3][number];

/** One row for each product with what was not checked of it; what belongs to no product goes to the row of the fleet. */
function toScanRows({ at, scans, survey }: TenantScan, notChecked: readonly NotChecked[]): NewScan[] {
  const bySubject = new Map<string, NotChecked[]>();
  for (const one of notChecked) {
    const [first = ""] = one.what.split(" ");
    const subject = first.startsWith("product:") ? first : FLEET_SUBJECT;
    bySubject.set(subject, [...(bySubject.get(subject) ?? []), one]);
  }
  const toRow = (subject: string, commitSha: string | null): NewScan => {
    return { subject, at, commitSha, notChecked: bySubject.get(subject) ?? [] };
  };
  const products = scans.map(({ product, commitSha }) => toRow(productSubject(product.id), commitSha));
  return survey ? [...products, toRow(FLEET_SUBJECT, null)] : products;
}

/** Subjects of open findings that are no longer declared: removed products and roster agents, and lost hosts. */
async function findRemovedSubjects(
  tx: Tx,
  fleet: Fleet,
  { tenantId, survey, coversAllProducts }: TenantScan,
): Promise<string[]> {
  if (!coversAllProducts) return [];
  const products = new Set(scannableProducts(fleet, tenantId).map(({ id }) => productSubject(id)));
  const roster = new Set(survey?.declared.roster.map(({ name }) => `roster:${name}`));
  const hosts = new Set((await listHosts(tx)).flatMap(({ id, alive }) => (alive ? [`host:${id}`] : [])));
  const open = await listOpenDrift(tx, tenantId);
  return open
    .map(({ subject }) => subject)
    .filter((subject) => {
      if (subject.startsWith("product:")) return !products.has(subject);
      if (survey && subject.startsWith("roster:")) return !roster.has(subject);
      return survey !== undefined && subject.startsWith("host:") && !hosts.has(subject);
    });
}

interface DriftNews {
  readonly tenantId: string;
  readonly operatorId: string;
  readonly at: Date;
  readonly newFindings: readonly Drift[];
}

/** One event and one notification for the whole scan. */
async function publishNewDrift(tx: Tx, fleet: Fleet, { newFindings, ...owner }: DriftNews): Promise<void> {
  if (newFindings.length === 0) return;
  const scanId = fleet.newId();
  await insertEvents(tx, [driftEvent(scanId, newFindings, owner)]);
  const detail = driftMessage(newFindings);
  await notifyAboutFleet(fleet, tx, owner, { type: "drift_found", key: `drift/${scanId}`, detail });
}
