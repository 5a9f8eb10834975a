/** Reading the drift report, and taking a finding for right: what people do about drift. */
import { driftReport, type DriftReportDocument } from "../../domain/drift/report.ts";
import { FleetError } from "../../domain/errors.ts";
import type { Operator } from "../../domain/operator.ts";
import type { Product } from "../../domain/product.ts";
import { shortId } from "../../domain/task/task.ts";
import { acceptFinding, findDriftNamed, listDrift, listLooks, type Drift } from "../../store/drift.ts";
import { auditOperator } from "../../store/operators.ts";
import { WORKER } from "../../store/store.ts";
import type { Looked } from "./scan.ts";
import type { Fleet } from "../fleet.ts";
import { looksOf } from "./rounds.ts";
import { getProduct } from "../products/products.ts";
import { sightOf } from "../scope.ts";

const MOST = 2_000;

export interface ReportAsk {
  readonly productId?: string | undefined;
  /** Also what was accepted, and what is gone. */
  readonly all: boolean;
}

export async function readDriftReport(
  fleet: Fleet,
  by: Operator,
  { productId, all }: ReportAsk,
): Promise<DriftReportDocument> {
  if (productId !== undefined) getProduct(fleet, by.tenantId, productId);
  const statuses = all ? (["open", "accepted", "gone"] as const) : (["open"] as const);
  const findings = await fleet.store.transaction(sightOf(by), (tx) =>
    listDrift(tx, { productId, statuses, limit: MOST }),
  );
  const scope = { tenantId: by.tenantId, productId };
  return driftReport(findings, { ...scope, ...(await looksOf(fleet, "drift", scope)) });
}

/** The report about one product as a run keeps it. */
export async function productReport(fleet: Fleet, product: Product, { report }: Looked): Promise<DriftReportDocument> {
  const { tenant: tenantId, id: productId } = product;
  const { findings, looks } = await fleet.store.transaction(WORKER, async (tx) => ({
    findings: await listDrift(tx, { tenantId, productId, statuses: ["open"], limit: MOST }),
    looks: await listLooks(tx, "drift", tenantId),
  }));
  const lookedAt = looks.find(({ subject }) => subject === `product:${productId}`)?.at;
  return driftReport(findings, { tenantId, productId, lookedAt, notChecked: report.notChecked });
}

/** What is there counts as right from now on; the audit says who said so, and why. */
export async function acceptDrift(fleet: Fleet, by: Operator, name: string, reason: string): Promise<Drift> {
  const finding = await findNamed(fleet, by, name);
  return fleet.store.transaction(WORKER, async (tx) => {
    const accepted = await acceptFinding(
      tx,
      { id: finding.id, tenantId: by.tenantId },
      { by: by.id, reason, at: fleet.clock() },
    );
    if (!accepted) {
      throw new FleetError(
        "invalid-transition",
        `Finding ${shortId(finding.id)} is not open: it is ${finding.status}.`,
      );
    }
    const { id, subject, what, declared, actual } = accepted;
    const detail = { findingId: id, subject, what, declared, actual, reason };
    await auditOperator(tx, { operatorId: by.id, actor: by.id, action: "drift.accepted", detail });
    return accepted;
  });
}

async function findNamed(fleet: Fleet, by: Operator, name: string): Promise<Drift> {
  const found = await fleet.store.transaction(sightOf(by), (tx) => findDriftNamed(tx, name.toLowerCase()));
  const [finding, other] = found;
  if (!finding) throw new FleetError("not-found", `There is no finding ${name}. See them: fleet drift`);
  if (other) throw new FleetError("ambiguous-name", `${name} fits several findings; name one by its whole id.`);
  return finding;
}
