/** drift_reports, drift_baselines, looks: the differences found, the expected values, and the latest scans. */
import { z } from "zod";
import { type DriftStatus, Drift } from "../domain/drift/report.ts";
import { sql, type Tx } from "./sql.ts";
import { type Finding, Baseline, NotChecked } from "../domain/drift/finding.ts";

const columns = sql`d.id, d.tenant_id, d.operator_id, d.subject, d.what, d.product_id, d.declared, d.actual, d.severity,
  d.command, d.host, d.status, d.since, d.seen_at, d.accepted`;

interface DriftOwner {
  readonly tenantId: string;
  readonly operatorId: string;
}

/** Lists the open findings of a tenant, for the planner. */
export async function listOpenDrift(tx: Tx, tenantId: string): Promise<Drift[]> {
  return tx.many(Drift)`
    select ${columns} from drift_reports d where d.tenant_id = ${tenantId} and d.status = 'open'
    order by d.subject collate "C", d.what collate "C"`;
}

export interface DriftFilter {
  /** For the worker role, which sees all tenants. */
  readonly tenantId?: string | undefined;
  readonly productId?: string | undefined;
  readonly statuses: readonly DriftStatus[];
  readonly limit: number;
}

/** Lists the visible ones, the most severe first and then the oldest. */
export async function listDrift(tx: Tx, { tenantId, productId, statuses, limit }: DriftFilter): Promise<Drift[]> {
  const product = productId === undefined ? sql`` : sql` and d.product_id = ${productId}`;
  const tenant = tenantId === undefined ? sql`` : sql` and d.tenant_id = ${tenantId}`;
  return tx.many(Drift)`
    select ${columns} from drift_reports d where d.status = any(${statuses})${product}${tenant}
    order by d.status = 'open' desc, array_position(array['high', 'medium', 'low'], d.severity), d.since,
      d.subject collate "C", d.what collate "C"
    limit ${limit}`;
}

/** By the digits of an id, the first digits of one, or the last eight (the short name, which listings show). */
export async function listDriftByName(tx: Tx, digits: string, limit: number): Promise<Drift[]> {
  return tx.many(Drift)`
    select ${columns} from drift_reports d
    where d.id between ${digits.padEnd(32, "0")}::uuid and ${digits.padEnd(32, "f")}::uuid
      or right(d.id::text, 8) = ${digits}
    order by d.status = 'open' desc limit ${limit}`;
}

export interface ScanFindings {
  readonly at: Date;
  /** What was scanned: open findings of these subjects that were not found again are closed. */
  readonly subjects: readonly string[];
  /** Each with the id that it gets if it is new. */
  readonly findings: readonly (Finding & { readonly id: string })[];
}

/** Stores a scan's findings in one statement: known ones keep `since`, those not found again are closed. Returns the new ones. */
export async function mergeFindings(
  tx: Tx,
  owner: DriftOwner,
  { at, subjects, findings }: ScanFindings,
): Promise<Drift[]> {
  return tx.many(Drift)`
    with found as (
      select * from jsonb_to_recordset(${JSON.stringify(findings)}::jsonb) as f (id uuid, subject text, what text,
        "productId" text, declared jsonb, actual jsonb, severity text, command text, host text)
    ), known as (
      update drift_reports d set declared = f.declared, actual = f.actual, severity = f.severity, command = f.command,
        host = f.host, seen_at = ${at}
      from found f
      where d.tenant_id = ${owner.tenantId} and d.subject = f.subject and d.what = f.what and d.status = 'open'
    ), gone as (
      update drift_reports d set status = 'gone', seen_at = ${at}
      where d.tenant_id = ${owner.tenantId} and d.status = 'open' and d.subject = any(${subjects})
        and not exists (select from found f where f.subject = d.subject and f.what = d.what)
    )
    insert into drift_reports as d (id, tenant_id, operator_id, subject, what, product_id, declared, actual, severity, command,
      host, since, seen_at)
    select id, ${owner.tenantId}, ${owner.operatorId}, subject, what, "productId", declared, actual, severity, command, host,
      ${at}, ${at}
    from found order by subject, what
    on conflict (tenant_id, subject, what) where status = 'open' do nothing
    returning ${columns}`;
}

/** Accepts an open finding: its actual value becomes the baseline. Returns undefined when it is no longer open. */
export async function acceptFinding(
  tx: Tx,
  finding: Pick<Drift, "id" | "tenantId">,
  accepted: { readonly by: string; readonly reason: string; readonly at: Date },
): Promise<Drift | undefined> {
  return tx.maybeOne(Drift)`
    with taken as (
      update drift_reports d set status = 'accepted', accepted = ${JSON.stringify(accepted)}::jsonb
      where d.id = ${finding.id} and d.tenant_id = ${finding.tenantId} and d.status = 'open'
      returning ${columns}
    ), based as (
      insert into drift_baselines (tenant_id, operator_id, subject, what, value, accepted_by, reason, at)
      select tenant_id, operator_id, subject, what, coalesce(actual, 'null'), ${accepted.by}, ${accepted.reason},
        ${accepted.at}
      from taken
      on conflict on constraint drift_baselines_pkey do update set value = excluded.value,
        accepted_by = excluded.accepted_by, reason = excluded.reason, at = excluded.at
    )
    select * from taken`;
}

export async function listBaselines(tx: Tx, tenantId: string, subjects: readonly string[]): Promise<Baseline[]> {
  return tx.many(Baseline)`
    select subject, what, value from drift_baselines where tenant_id = ${tenantId} and subject = any(${subjects})`;
}

/** Makes values that are seen for the first time the baseline; existing baselines stay. */
export async function insertBaselines(
  tx: Tx,
  owner: DriftOwner,
  { at, by, baselines }: { readonly at: Date; readonly by: string; readonly baselines: readonly Baseline[] },
): Promise<void> {
  await tx.run`
    insert into drift_baselines (tenant_id, operator_id, subject, what, value, accepted_by, reason, at)
    select ${owner.tenantId}, ${owner.operatorId}, subject, what, value, ${by}, 'first seen', ${at}
    from jsonb_to_recordset(${JSON.stringify(baselines)}::jsonb) as b (subject text, what text, value jsonb)
    on conflict on constraint drift_baselines_pkey do nothing`;
}

export const ScanKind = z.enum(["drift", "science"]);
export type ScanKind = z.infer<typeof ScanKind>;

export const ScanRecord = z.object({
  tenantId: z.string(),
  kind: ScanKind,
  subject: z.string(),
  at: z.date(),
  commitSha: z.string().nullable(),
  notChecked: z.array(NotChecked),
});
export type ScanRecord = z.infer<typeof ScanRecord>;

/** Lists the latest visible scans, or those of one tenant (worker role). */
export async function listScans(tx: Tx, kind: ScanKind, tenantId?: string): Promise<ScanRecord[]> {
  return tx.many(ScanRecord)`
    select tenant_id, kind, subject, at, commit_sha, not_checked from looks
    where kind = ${kind} and (${tenantId ?? null}::text is null or tenant_id = ${tenantId ?? null})
    order by tenant_id, subject collate "C"`;
}

/** Replaces earlier scans, but never a newer one by a slow one. */
export async function upsertScans(
  tx: Tx,
  owner: DriftOwner,
  kind: ScanKind,
  scans: readonly Pick<ScanRecord, "subject" | "at" | "commitSha" | "notChecked">[],
): Promise<void> {
  await tx.run`
    insert into looks as l (tenant_id, operator_id, kind, subject, at, commit_sha, not_checked)
    select ${owner.tenantId}, ${owner.operatorId}, ${kind}, subject, at, "commitSha", "notChecked"
    from jsonb_to_recordset(${JSON.stringify(scans)}::jsonb)
      as look (subject text, at timestamptz, "commitSha" text, "notChecked" jsonb)
    on conflict on constraint looks_pkey do update set operator_id = excluded.operator_id, at = excluded.at,
      commit_sha = excluded.commit_sha, not_checked = excluded.not_checked
      where l.at <= excluded.at`;
}
