/** The drift report, and accepting a finding as the new baseline. */
import { driftReport, type DriftReportDocument, type Drift } from "../../domain/drift/report.ts";
import { FleetError } from "../../domain/errors.ts";
import type { Operator } from "../../domain/operator.ts";
import type { Product } from "../../domain/product.ts";
import { shortId } from "../../domain/task/task.ts";
import { acceptFinding, listDriftByName, listDrift, listScans } from "../../store/drift.ts";
import { auditBy } from "../../store/operators.ts";
import type { DriftScan } from "./scan.ts";
import type { Fleet } from "../fleet.ts";
import { readScanStatus } from "./rounds.ts";
import { oneNamed } from "../name.ts";
import { getProduct } from "../products/find.ts";

const MAX_FINDINGS = 2_000;

export interface DriftReportRequest {
  readonly productId?: string | undefined;
  /** Includes findings that were accepted, and those that no longer exist. */
  readonly all: boolean;
}

export async function readDriftReport(
  fleet: Fleet,
  by: Operator,
  { productId, all }: DriftReportRequest,
): Promise<DriftReportDocument> {
  if (productId !== undefined) getProduct(fleet, by.tenantId, productId);
  const statuses = all ? (["open", "accepted", "gone"] as const) : (["open"] as const);
  const findings = await fleet.store.as(by, (tx) => listDrift(tx, { productId, statuses, limit: MAX_FINDINGS }));
  const scope = { tenantId: by.tenantId, productId };
  return driftReport(findings, { ...scope, ...(await readScanStatus(fleet, "drift", scope)) });
}

/** The report about one product, as a run stores it. */
export async function readProductReport(
  fleet: Fleet,
  product: Product,
  { report }: DriftScan,
): Promise<DriftReportDocument> {
  const { tenant: tenantId, id: productId } = product;
  const { findings, scans } = await fleet.store.asSystem(async (tx) => ({
    findings: await listDrift(tx, { tenantId, productId, statuses: ["open"], limit: MAX_FINDINGS }),
    scans: await listScans(tx, "drift", tenantId),
  }));
  const lookedAt = scans.find(({ subject }) => subject === `product:${productId}`)?.at;
  return driftReport(findings, { tenantId, productId, lookedAt, notChecked: report.notChecked });
}

/** Accepts the current value as the new baseline; the audit log records who accepted it, and why. */
export async function acceptDrift(fleet: Fleet, by: Operator, name: string, reason: string): Promise<Drift> {
  const finding = await getFindingNamed(fleet, by, name);
  return fleet.store.asSystem(async (tx) => {
    const accepted = await acceptFinding(
      tx,
      { id: finding.id, tenantId: by.tenantId },
      { by: by.id, reason, at: fleet.clock() },
    );
    if (!accepted) {
      throw new FleetError("invalid-transition", `Finding ${shortId(finding.id)} is ${finding.status}, not open.`);
    }
    const { id, subject, what, declared, actual } = accepted;
    await auditBy(tx, by, "drift.accepted", { findingId: id, subject, what, declared, actual, reason });
    return accepted;
  });
}

async function getFindingNamed(fleet: Fleet, by: Operator, name: string): Promise<Drift> {
  const finding = await oneNamed(name, {
    plural: "findings",
    find: (digits, limit) => fleet.store.as(by, (tx) => listDriftByName(tx, digits, limit)),
    describe: ({ id, subject, what }) => `${id} (${subject} ${what})`,
  });
  if (!finding) throw new FleetError("not-found", `There is no finding ${name}. See them: fleet drift`);
  return finding;
}
