/** The intent science_to_design: drafts a design from a validated dossier as evidence of the run. Nothing is committed. */
import { designSkeleton, type SkeletonSource } from "../../../domain/science/design-skeleton.ts";
import type { Product } from "../../../domain/product.ts";
import { findDossier, handOffDossier } from "../../../store/dossiers.ts";
import type { Fleet } from "../../fleet.ts";
import { readTenantIndex } from "../../drift/science.ts";
import type { ExecuteIntent, IntentOutcome } from "./intent.ts";
import type { Dossier } from "../../../domain/science/science.ts";

const ARTIFACT = "design.md";

/** The dossier of the order's inputs, or of its subject. A later order creates another copy; the first keeps the hand-off. */
export const designFromScience: ExecuteIntent = async ({ fleet, order, run, product, evidence }) => {
  const dossierId = String(order.inputs["dossier_id"] ?? order.subject);
  const dossier = await findDossierById(fleet, product, dossierId);
  if (!dossier) return notValidated(`There is no dossier ${dossierId} in ${product.id}. See them: fleet science`);
  const source = toSkeletonSource(dossier);
  if (!source) return notValidated(`The front matter of ${dossier.path} cannot be read. See why: fleet science`);
  if (dossier.status !== "validated") return notValidated(`Dossier ${dossierId} is ${dossier.status}, not validated.`);

  const { path, commitSha } = dossier;
  const facts = { productId: product.id, path, commitSha, orderId: order.id, at: fleet.clock() };
  await evidence.write(ARTIFACT, designSkeleton(source, facts), "text/markdown");
  const handOff = { design: { run_id: run.id, artifact: ARTIFACT }, orderId: order.id };
  const isFirst = await fleet.store.asSystem((tx) => handOffDossier(tx, dossier, handOff));
  const index = await readTenantIndex(fleet, product.tenant);
  await evidence.write("science_index.json", `${JSON.stringify(index, undefined, 2)}\n`, "application/json");
  const message = isFirst
    ? `dossier ${dossierId} was handed off to ${ARTIFACT}`
    : `another copy of ${ARTIFACT}: dossier ${dossierId} had been handed off before`;
  return { ok: true, exitCode: 0, message, summary: { dossier_id: dossierId }, headSha: commitSha };
};

function toSkeletonSource({
  problems,
  dossierId,
  topic,
  owner,
  hypothesis,
  evidence,
}: Dossier): SkeletonSource | undefined {
  if (problems || dossierId === null || topic === null || owner === null || hypothesis === null) return undefined;
  return { dossier_id: dossierId, topic, owner, hypothesis, evidence };
}

function findDossierById(fleet: Fleet, product: Product, dossierId: string): Promise<Dossier | undefined> {
  const key = { tenantId: product.tenant, productId: product.id, dossierId };
  return fleet.store.asSystem((tx) => findDossier(tx, key));
}

function notValidated(message: string): IntentOutcome {
  return { ok: false, exitCode: null, failure: "not_validated", message };
}
