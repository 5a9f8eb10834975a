/** science_index.json lists every dossier of a tenant with its status and its design, and what is stuck or cannot be read. */
import { z } from "zod";
import { DossierProblem, DossierStatus, effectiveStatus, stuckReason } from "./science.ts";
import { NotChecked } from "../drift/finding.ts";

const DesignRef = z.strictObject({ run_id: z.uuid(), artifact: z.string() });

export const IndexedDossier = z.strictObject({
  product_id: z.string(),
  path: z.string(),
  dossier_id: z.string(),
  topic: z.string(),
  status: DossierStatus.meta({ description: "handed_off also when Fleetwright created a design from it" }),
  file_status: DossierStatus.meta({ description: "the status in the file" }),
  owner: z.string(),
  created_at: z.iso.datetime().nullable(),
  age_days: z.int().min(0),
  status_since: z.iso.datetime(),
  design: DesignRef.nullable().meta({ description: "the design created from it: evidence of a run" }),
  work_order: z.uuid().nullable().meta({ description: "the order that created the design" }),
  stuck: z.string().nullable().meta({ description: "why it needs attention" }),
});

export type IndexedDossier = z.infer<typeof IndexedDossier>;

const ErrorCard = z.strictObject({
  product_id: z.string(),
  path: z.string(),
  dossier_id: z.string().nullable(),
  commit: z.string(),
  problems: z.array(z.strictObject(DossierProblem.shape)).min(1),
});

const Counts = z.strictObject({
  proposed: z.int(),
  running: z.int(),
  validated: z.int(),
  rejected: z.int(),
  handed_off: z.int(),
  errors: z.int(),
});

export const ScienceIndex = z
  .strictObject({
    schema_version: z.literal(1),
    tenant_id: z.string(),
    generated_at: z.iso.datetime(),
    looked_at: z.iso
      .datetime()
      .nullable()
      .meta({ description: "when the oldest scan it is based on ran; null: a product was never scanned" }),
    counts: Counts,
    dossiers: z.array(IndexedDossier).meta({ description: "ordered by status, the longest in it first" }),
    errors: z.array(ErrorCard).meta({ description: "files whose front matter cannot be read" }),
    not_checked: z.array(z.strictObject(NotChecked.shape)),
  })
  .meta({ id: "science_index", description: "The research dossiers of all products and their progress" });
export type ScienceIndex = z.infer<typeof ScienceIndex>;

export interface DossierFacts {
  readonly productId: string;
  readonly path: string;
  readonly dossierId: string | null;
  readonly topic: string | null;
  readonly status: DossierStatus | null;
  readonly owner: string | null;
  readonly writtenAt: Date | null;
  readonly commitSha: string;
  readonly problems: readonly DossierProblem[] | null;
  readonly design: z.infer<typeof DesignRef> | null;
  readonly orderId: string | null;
  readonly statusSince: Date;
}

export interface ScienceIndexOptions {
  readonly tenantId: string;
  readonly now: Date;
  readonly lookedAt: Date | undefined;
  readonly notChecked: readonly NotChecked[];
}

export function scienceIndex(
  all: readonly DossierFacts[],
  { tenantId, now, lookedAt, notChecked }: ScienceIndexOptions,
): ScienceIndex {
  const dossiers = all.flatMap((dossier) => toIndexedDossiers(dossier, now)).toSorted(compareByProgress);
  const errors = all.flatMap((dossier) => toErrorCards(dossier));
  const count = (wanted: DossierStatus) => dossiers.filter(({ status }) => status === wanted).length;
  return {
    schema_version: 1,
    tenant_id: tenantId,
    generated_at: now.toISOString(),
    looked_at: lookedAt?.toISOString() ?? null,
    counts: {
      proposed: count("proposed"),
      running: count("running"),
      validated: count("validated"),
      rejected: count("rejected"),
      handed_off: count("handed_off"),
      errors: errors.length,
    },
    dossiers,
    errors,
    not_checked: notChecked.map(({ what, why }) => ({ what, why })),
  };
}

const DAY_MS = 24 * 3_600_000;

function toIndexedDossiers(dossier: DossierFacts, now: Date): IndexedDossier[] {
  const { dossierId, topic, status: fileStatus, owner, writtenAt, design } = dossier;
  if (dossierId === null || topic === null || fileStatus === null || owner === null || dossier.problems) return [];
  const state = { status: fileStatus, statusSince: dossier.statusSince, isHandedOff: design !== null };
  const createdAt = writtenAt ?? dossier.statusSince;
  return [
    {
      product_id: dossier.productId,
      path: dossier.path,
      dossier_id: dossierId,
      topic,
      status: effectiveStatus(state) ?? fileStatus,
      file_status: fileStatus,
      owner,
      created_at: writtenAt?.toISOString() ?? null,
      age_days: Math.max(0, Math.floor((now.getTime() - createdAt.getTime()) / DAY_MS)),
      status_since: dossier.statusSince.toISOString(),
      design,
      work_order: dossier.orderId,
      stuck: stuckReason(state, now),
    },
  ];
}

function toErrorCards({ problems, productId, path, dossierId, commitSha }: DossierFacts): z.infer<typeof ErrorCard>[] {
  if (!problems || problems.length === 0) return [];
  return [
    {
      product_id: productId,
      path,
      dossier_id: dossierId,
      commit: commitSha,
      problems: problems.map(({ line, message }) => ({ line, message })),
    },
  ];
}

function compareByProgress(a: IndexedDossier, b: IndexedDossier): number {
  const [left, right] = [a, b].map((dossier) => [
    String(DossierStatus.options.indexOf(dossier.status)),
    dossier.status_since,
    dossier.product_id,
    dossier.path,
  ]);
  const [one, other] = [left?.join("\0") ?? "", right?.join("\0") ?? ""];
  if (one === other) return 0;
  return one < other ? -1 : 1;
}
