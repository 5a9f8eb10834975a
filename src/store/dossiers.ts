/** dossiers: the front matter of research files, one row per file, and the design that each was handed to. */
import { type z } from "zod";
import { type DesignRef, Dossier } from "../domain/science/science.ts";
import { sql, type Tx } from "./sql.ts";

const columns = sql`d.tenant_id, d.operator_id, d.product_id, d.path, d.dossier_id, d.topic, d.status, d.owner, d.hypothesis,
  d.evidence, d.written_at, d.commit_sha, d.problems, d.design, d.order_id, d.status_since, d.seen_at`;

interface DossierOwner {
  readonly tenantId: string;
  readonly operatorId: string;
}

/** Lists all visible ones, or those of one tenant (worker role). */
export async function listDossiers(tx: Tx, tenantId?: string): Promise<Dossier[]> {
  return tx.many(Dossier)`
    select ${columns} from dossiers d where ${tenantId ?? null}::text is null or d.tenant_id = ${tenantId ?? null}
    order by d.tenant_id, d.product_id collate "C", d.path collate "C"`;
}

/** Lists those the planner may turn into orders: validated, readable and without a design. Those that wait longest come first. */
export async function listWaitingDossiers(tx: Tx, tenantId: string): Promise<Dossier[]> {
  return tx.many(Dossier)`
    select ${columns} from dossiers d
    where d.tenant_id = ${tenantId} and d.status = 'validated' and d.problems is null and d.design is null
    order by d.status_since, d.product_id collate "C", d.path collate "C"`;
}

export async function findDossier(
  tx: Tx,
  { tenantId, productId, dossierId }: { tenantId: string; productId: string; dossierId: string },
): Promise<Dossier | undefined> {
  const [first] = await tx.many(Dossier)`
    select ${columns} from dossiers d
    where d.tenant_id = ${tenantId} and d.product_id = ${productId} and d.dossier_id = ${dossierId}
    order by d.problems is not null, d.path collate "C" limit 1`;
  return first;
}

/** What a scan found in one file. `statusSince` is when the file last changed: no status can be older. */
export type ScannedDossier = Pick<
  Dossier,
  | "productId"
  | "path"
  | "dossierId"
  | "topic"
  | "status"
  | "owner"
  | "hypothesis"
  | "evidence"
  | "writtenAt"
  | "commitSha"
  | "problems"
  | "statusSince"
>;

/**
 * Replaces the rows of these products by what was scanned, in one statement. A design stays with the dossier's id, also when
 * its file moves; a file that has become unreadable keeps its id.
 */
export async function syncDossiers(
  tx: Tx,
  owner: DossierOwner,
  {
    at,
    products,
    dossiers,
  }: { readonly at: Date; readonly products: readonly string[]; readonly dossiers: readonly ScannedDossier[] },
): Promise<void> {
  await tx.run`
    with scanned as (
      select * from jsonb_to_recordset(${JSON.stringify(dossiers)}::jsonb) as s ("productId" text, path text,
        "dossierId" text, topic text, status text, owner text, hypothesis text, evidence jsonb, "writtenAt" timestamptz,
        "commitSha" text, problems jsonb, "statusSince" timestamptz)
    ), removed as (
      delete from dossiers d where d.tenant_id = ${owner.tenantId} and d.product_id = any(${products})
        and not exists (select from scanned s where s."productId" = d.product_id and s.path = d.path)
    )
    insert into dossiers as d (tenant_id, operator_id, product_id, path, dossier_id, topic, status, owner, hypothesis, evidence,
      written_at, commit_sha, problems, status_since, seen_at, design, order_id)
    select ${owner.tenantId}, ${owner.operatorId}, s."productId", s.path, s."dossierId", s.topic, s.status, s.owner,
      s.hypothesis, s.evidence, s."writtenAt", s."commitSha", nullif(s.problems, 'null'), s."statusSince", ${at},
      handed.design, handed.order_id
    from scanned s left join lateral (
      select design, order_id from dossiers old
      where old.tenant_id = ${owner.tenantId} and old.product_id = s."productId" and old.dossier_id = s."dossierId"
        and old.design is not null
      limit 1) handed on true
    order by s."productId", s.path
    on conflict on constraint dossiers_pkey do update set operator_id = excluded.operator_id,
      dossier_id = coalesce(excluded.dossier_id, d.dossier_id), topic = excluded.topic, status = excluded.status,
      owner = excluded.owner, hypothesis = excluded.hypothesis, evidence = excluded.evidence,
      written_at = excluded.written_at, commit_sha = excluded.commit_sha, problems = excluded.problems,
      status_since = case when d.status is distinct from excluded.status then excluded.status_since else d.status_since end,
      seen_at = excluded.seen_at,
      design = case when excluded.dossier_id <> d.dossier_id then excluded.design else d.design end,
      order_id = case when excluded.dossier_id <> d.dossier_id then excluded.order_id else d.order_id end`;
}

/** Records the design; that of the first order stays. Returns false when there is one already, or no such dossier. */
export async function handOffDossier(
  tx: Tx,
  { tenantId, productId, path }: Pick<Dossier, "tenantId" | "productId" | "path">,
  { design, orderId }: { readonly design: z.infer<typeof DesignRef>; readonly orderId: string },
): Promise<boolean> {
  const rows = await tx.run`
    update dossiers set design = ${JSON.stringify(design)}::jsonb, order_id = ${orderId}
    where tenant_id = ${tenantId} and product_id = ${productId} and path = ${path}
      and (design is null or order_id = ${orderId})`;
  return rows > 0;
}
