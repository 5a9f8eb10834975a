/** Research dossiers: the files of all products are read into rows and shown as an index. */
import type { DriftJob } from "../../../queues/drift.ts";
import type { Operator } from "../../domain/operator.ts";
import type { Product } from "../../domain/product.ts";
import { scienceIndex, type ScienceIndex } from "../../domain/science/science-index.ts";
import { listDossiers, syncDossiers, type ScannedDossier } from "../../store/dossiers.ts";
import { listScans, upsertScans } from "../../store/drift.ts";
import { SCIENCE_FOLDER, surveyDossiers, type DossierSurvey } from "../../survey/dossiers.ts";
import type { Fleet } from "../fleet.ts";
import {
  scanInRounds,
  scannableProducts,
  readScanStatus,
  scanRound,
  productSubject,
  listTenants,
  listUnreadable,
  type ProductScan,
  type ProductScanner,
} from "./rounds.ts";
import { getProduct, productsOf } from "../products/find.ts";
import type { Dossier } from "../../domain/science/science.ts";
import { ensureSystemOperator } from "../scope.ts";

/** Handles a job of the queue. Scheduled scans skip products without a new commit. */
export async function refreshScience(
  fleet: Fleet,
  job: Extract<DriftJob, { kind: "science" | "requested-science" }>,
  signal: AbortSignal,
): Promise<void> {
  if (job.kind === "science") {
    for (const tenantId of listTenants(fleet)) {
      if (!signal.aborted)
        await readTenant(fleet, { tenantId, products: scannableProducts(fleet, tenantId), onlyNew: true }, signal);
    }
    return;
  }
  const { tenantId, productId } = job;
  const products =
    productId === undefined ? scannableProducts(fleet, tenantId) : [getProduct(fleet, tenantId, productId)];
  await readTenant(fleet, { tenantId, products, onlyNew: false }, signal);
}

interface ReadTenantOptions {
  readonly tenantId: string;
  readonly products: readonly Product[];
  readonly onlyNew: boolean;
}

/** "known": the commit was read before. */
type ScanOutcome = DossierSurvey | "known";

async function readTenant(
  fleet: Fleet,
  { tenantId, products, onlyNew }: ReadTenantOptions,
  signal: AbortSignal,
): Promise<void> {
  await scanInRounds(fleet, onlyNew ? `science/${tenantId}` : undefined, products, async (some) => {
    const at = fleet.clock();
    const known = onlyNew ? await knownCommits(fleet, tenantId) : new Map<string, string | null>();
    const read: ProductScanner<ScanOutcome> = async ({ id }, commit) =>
      known.get(productSubject(id)) === commit.commitSha ? "known" : surveyDossiers(commit);
    const { scans, rest } = await scanRound(fleet, some, read, signal);
    await saveDossiers(fleet, tenantId, at, scans);
    return rest;
  });
}

async function knownCommits(fleet: Fleet, tenantId: string): Promise<Map<string, string | null>> {
  const scans = await fleet.store.asSystem((tx) => listScans(tx, "science", tenantId));
  return new Map(
    scans.filter(({ notChecked }) => notChecked.length === 0).map(({ subject, commitSha }) => [subject, commitSha]),
  );
}

async function saveDossiers(
  fleet: Fleet,
  tenantId: string,
  at: Date,
  scans: readonly ProductScan<ScanOutcome>[],
): Promise<void> {
  const { id: operatorId } = await ensureSystemOperator(fleet, tenantId);
  const owner = { tenantId, operatorId };
  const scanned = scans.flatMap(({ product, commitSha, seen }) =>
    seen === undefined || seen === "known" || commitSha === null ? [] : [{ product, commitSha, seen }],
  );
  const rows = scans.map((scan) => {
    const { product, commitSha, seen } = scan;
    const subject = productSubject(product.id);
    const leftOut = seen === undefined || seen === "known" ? 0 : seen.leftOut;
    const truncated = {
      what: `${subject} ${SCIENCE_FOLDER}`,
      why: `${leftOut} files are over the limit of one product`,
    };
    return { subject, at, commitSha, notChecked: leftOut > 0 ? [truncated] : listUnreadable([scan]) };
  });
  await fleet.store.asSystem(async (tx) => {
    await syncDossiers(tx, owner, {
      at,
      products: scanned.map(({ product }) => product.id),
      dossiers: scanned.flatMap(({ product, commitSha, seen }) =>
        seen.dossiers.map((dossier) => toDossierRow(product, commitSha, dossier, at)),
      ),
    });
    await upsertScans(tx, owner, "science", rows);
  });
}

function toDossierRow(
  { id: productId }: Product,
  commitSha: string,
  { path, head, problems, changedAt }: DossierSurvey["dossiers"][number],
  at: Date,
): ScannedDossier {
  const row = { productId, path, commitSha, statusSince: changedAt ?? at };
  if (!head) return { ...row, ...UNREAD, problems: [...problems] };
  const { dossier_id: dossierId, topic, status, owner, hypothesis, evidence, created_at: writtenAt } = head;
  return { ...row, dossierId, topic, status, owner, hypothesis, evidence, writtenAt, problems: null };
}

const UNREAD = {
  dossierId: null,
  topic: null,
  status: null,
  owner: null,
  hypothesis: null,
  evidence: [],
  writtenAt: null,
};

/** The index of the operator's tenant. */
export async function readScienceIndex(fleet: Fleet, by: Operator): Promise<ScienceIndex> {
  return buildIndex(fleet, by.tenantId, await fleet.store.as(by, (tx) => listDossiers(tx)));
}

/** The same as the system reads it, for the evidence of a run. */
export async function readTenantIndex(fleet: Fleet, tenantId: string): Promise<ScienceIndex> {
  return buildIndex(fleet, tenantId, await fleet.store.asSystem((tx) => listDossiers(tx, tenantId)));
}

/** Dossiers of products that fleet.yaml no longer names stay stored, in case it names them again, but are not shown. */
async function buildIndex(fleet: Fleet, tenantId: string, all: readonly Dossier[]): Promise<ScienceIndex> {
  const products = new Set(productsOf(fleet, tenantId).map(({ id }) => id));
  const dossiers = all.filter(({ productId }) => products.has(productId));
  return scienceIndex(dossiers, {
    tenantId,
    now: fleet.clock(),
    ...(await readScanStatus(fleet, "science", { tenantId })),
  });
}
