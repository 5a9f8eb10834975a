/** The science lane: the dossiers of all products read into rows, and shown as an index. */
import type { DriftJob } from "../../../queues/drift.ts";
import type { Operator } from "../../domain/operator.ts";
import type { Product } from "../../domain/product.ts";
import { scienceIndex, type ScienceIndex } from "../../domain/science/science-index.ts";
import { listDossiers, syncDossiers, type Dossier, type SeenDossier } from "../../store/dossiers.ts";
import { listLooks, recordLooks } from "../../store/drift.ts";
import { WORKER } from "../../store/store.ts";
import { SCIENCE_FOLDER, surveyDossiers, type FoundDossiers } from "../../survey/dossiers.ts";
import { factoryOperator } from "../system-operator.ts";
import type { Fleet } from "../fleet.ts";
import {
  inRounds,
  lookedAt,
  looksOf,
  lookRound,
  productSubject,
  tenantsOf,
  unseen,
  type Glance,
  type LookInto,
} from "./rounds.ts";
import { getProduct, productsOf } from "../products/products.ts";
import { sightOf } from "../scope.ts";

/** Answers a job of the queue. The clock's looks pass over what has no new commit. */
export async function refreshScience(
  fleet: Fleet,
  job: Extract<DriftJob, { look: "science" | "asked-science" }>,
  signal: AbortSignal,
): Promise<void> {
  if (job.look === "science") {
    for (const tenantId of tenantsOf(fleet)) {
      if (!signal.aborted)
        await readTenant(fleet, { tenantId, products: lookedAt(fleet, tenantId), onlyNew: true }, signal);
    }
    return;
  }
  const { tenantId, productId } = job;
  const products = productId === undefined ? lookedAt(fleet, tenantId) : [getProduct(fleet, tenantId, productId)];
  await readTenant(fleet, { tenantId, products, onlyNew: false }, signal);
}

interface Reading {
  readonly tenantId: string;
  readonly products: readonly Product[];
  readonly onlyNew: boolean;
}

/** What is not new is known already. */
type Found = FoundDossiers | "known";

async function readTenant(fleet: Fleet, { tenantId, products, onlyNew }: Reading, signal: AbortSignal): Promise<void> {
  await inRounds(fleet, onlyNew ? `science/${tenantId}` : undefined, products, async (some) => {
    const at = fleet.clock();
    const known = onlyNew ? await knownCommits(fleet, tenantId) : new Map<string, string | null>();
    const read: LookInto<Found> = async ({ id }, place) =>
      known.get(productSubject(id)) === place.commitSha ? "known" : surveyDossiers(place);
    const { glances, rest } = await lookRound(fleet, some, read, signal);
    await keep(fleet, tenantId, at, glances);
    return rest;
  });
}

async function knownCommits(fleet: Fleet, tenantId: string): Promise<Map<string, string | null>> {
  const looks = await fleet.store.transaction(WORKER, (tx) => listLooks(tx, "science", tenantId));
  return new Map(
    looks.filter(({ notChecked }) => notChecked.length === 0).map((look) => [look.subject, look.commitSha]),
  );
}

async function keep(fleet: Fleet, tenantId: string, at: Date, glances: readonly Glance<Found>[]): Promise<void> {
  const { id: operatorId } = await factoryOperator(fleet, tenantId);
  const owner = { tenantId, operatorId };
  const read = glances.flatMap(({ product, commitSha, seen }) =>
    seen === undefined || seen === "known" || commitSha === null ? [] : [{ product, commitSha, seen }],
  );
  const left = read
    .filter(({ seen }) => seen.leftOut > 0)
    .map(({ product, seen }) => {
      const what = `${productSubject(product.id)} ${SCIENCE_FOLDER}`;
      return { what, why: `${seen.leftOut} more files than are read of one product` };
    });
  const notChecked = new Map([...unseen(glances), ...left].map((one) => [one.what.split(" ")[0] ?? "", one]));
  await fleet.store.transaction(WORKER, async (tx) => {
    await syncDossiers(tx, owner, {
      at,
      products: read.map(({ product }) => product.id),
      dossiers: read.flatMap(({ product, commitSha, seen }) =>
        seen.dossiers.map((dossier) => rowOf(product, commitSha, dossier, at)),
      ),
    });
    await recordLooks(
      tx,
      owner,
      "science",
      glances.map(({ product, commitSha }) => {
        const subject = productSubject(product.id);
        const missed = notChecked.get(subject);
        return { subject, at, commitSha, notChecked: missed ? [missed] : [] };
      }),
    );
  });
}

function rowOf(
  { id: productId }: Product,
  commitSha: string,
  { path, head, problems, changedAt }: FoundDossiers["dossiers"][number],
  at: Date,
): SeenDossier {
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

/** The index of the asker's tenant: everything, however it is shown. */
export async function readScienceIndex(fleet: Fleet, by: Operator): Promise<ScienceIndex> {
  return indexOf(fleet, by.tenantId, await fleet.store.transaction(sightOf(by), (tx) => listDossiers(tx)));
}

/** The same for the house, as evidence of a hand-over. */
export async function tenantIndex(fleet: Fleet, tenantId: string): Promise<ScienceIndex> {
  return indexOf(fleet, tenantId, await fleet.store.transaction(WORKER, (tx) => listDossiers(tx, tenantId)));
}

/** Rows of products that fleet.yaml names no more are kept, should it name them again, but not shown. */
async function indexOf(fleet: Fleet, tenantId: string, all: readonly Dossier[]): Promise<ScienceIndex> {
  const products = new Set(productsOf(fleet, tenantId).map(({ id }) => id));
  const dossiers = all.filter(({ productId }) => products.has(productId));
  return scienceIndex(dossiers, { tenantId, now: fleet.clock(), ...(await looksOf(fleet, "science", { tenantId })) });
}
