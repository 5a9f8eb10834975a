/** gc_marks and gc_reports: what hosts have quarantined and were requested to collect. Also the rows that say what is in use. */
import { z } from "zod";
import { hostQueue } from "../../queues/host.ts";
import { GcKind } from "../domain/gc/gc.ts";
import { runColumns } from "./runs.ts";
import { sql, type Tx } from "./sql.ts";
import { Run } from "../domain/orders/run.ts";
import { SYSTEM_TENANT } from "../domain/tenant.ts";

export const GcMark = z.object({
  id: z.uuid(),
  host: z.string(),
  kind: GcKind,
  subject: z.string(),
  path: z.string(),
  quarantine: z.string(),
  reason: z.string(),
  restore: z.string(),
  bytes: z.coerce.number(),
  markedAt: z.date(),
  sweptAt: z.date().nullable(),
});
export type GcMark = z.infer<typeof GcMark>;

const markColumns = sql`m.id, m.host, m.kind, m.subject, m.path, m.quarantine, m.reason, m.restore, m.bytes, m.marked_at,
  m.swept_at`;

/** Call it before the path is renamed. Returns false while the trash holds something of the same path. */
export async function insertGcMark(tx: Tx, mark: GcMark): Promise<boolean> {
  const inserted = await tx.run`
    insert into gc_marks (id, host, kind, subject, path, quarantine, reason, restore, bytes, marked_at, swept_at)
    values (${mark.id}, ${mark.host}, ${mark.kind}, ${mark.subject}, ${mark.path}, ${mark.quarantine}, ${mark.reason},
      ${mark.restore}, ${mark.bytes}, ${mark.markedAt}, ${mark.sweptAt})
    on conflict (host, path) where swept_at is null do nothing`;
  return inserted > 0;
}

export async function listOpenGcMarks(tx: Tx, host: string): Promise<GcMark[]> {
  return tx.many(GcMark)`
    select ${markColumns} from gc_marks m where m.host = ${host} and m.swept_at is null order by m.marked_at, m.id`;
}

/** Returns which of these marks, found in a host's trash, have a row. */
export async function listKnownMarkIds(tx: Tx, ids: readonly string[]): Promise<Set<string>> {
  const rows = await tx.many(z.object({ id: z.uuid() }))`select id from gc_marks where id = any(${ids}::uuid[])`;
  return new Set(rows.map(({ id }) => id));
}

export async function deleteGcMark(tx: Tx, id: string): Promise<void> {
  await tx.run`delete from gc_marks where id = ${id}`;
}

export async function markGcSwept(tx: Tx, id: string, at: Date): Promise<void> {
  await tx.run`update gc_marks set swept_at = coalesce(swept_at, ${at}) where id = ${id}`;
}

/** Hides a run whose folder is in quarantine. */
export async function markRunCollected(tx: Tx, id: string, at: Date): Promise<void> {
  await tx.run`update runs set collected_at = coalesce(collected_at, ${at}) where id = ${id}`;
}

/** Shows a run again whose folder was restored from the trash, and pins it because somebody wants it. */
export async function restoreRun(tx: Tx, id: string): Promise<boolean> {
  const restored = await tx.run`
    update runs set collected_at = null, pinned = true where id = ${id} and collected_at is not null`;
  return restored > 0;
}

export async function deleteCollectedArtifacts(tx: Tx, runId: string): Promise<number> {
  return tx.run`delete from artifacts where run_id = ${runId} and exists (
    select 1 from runs where id = ${runId} and collected_at is not null)`;
}

/** Restricts a listing; without fields it covers everything. */
export interface GcScope {
  readonly tenantId?: string | undefined;
  readonly productId?: string | undefined;
}

/** Lists all runs that are not collected, because a run's rank within its product decides whether it goes. */
export async function listUncollectedRuns(tx: Tx, { tenantId, productId }: GcScope, limit: number): Promise<Run[]> {
  return tx.many(Run)`
    select ${runColumns} from runs r
    where r.collected_at is null and (${tenantId ?? null}::text is null or r.tenant_id = ${tenantId ?? null})
      and (${productId ?? null}::text is null or r.product_id = ${productId ?? null})
    order by r.started_at desc, r.id desc limit ${limit}`;
}

/** Returns which of these run ids have a row, collected or not. */
export async function listKnownRunIds(tx: Tx, ids: readonly string[]): Promise<Set<string>> {
  const rows = await tx.many(z.object({ id: z.uuid() }))`select id from runs where id = any(${ids}::uuid[])`;
  return new Set(rows.map(({ id }) => id));
}

const TaskInUse = z.object({
  id: z.uuid(),
  branch: z.string(),
  baseBranch: z.string(),
  repository: z.string(),
  live: z.boolean(),
  hasWorkspace: z.boolean(),
  doubt: z.string().nullable(),
});
export type TaskInUse = z.infer<typeof TaskInUse>;

/** Lists every unfinished task, and the named ones. Read it after the disk, so that no new task is missed. */
export async function listTasksInUse(
  tx: Tx,
  named: { readonly ids: readonly string[]; readonly branches: readonly string[] },
): Promise<TaskInUse[]> {
  return tx.many(TaskInUse)`
    select t.id, t.branch, t.base_branch, t.repository, t.completed_at is null as live,
      t.workspace_path is not null as has_workspace, t.metadata ->> 'workspaceKept' as doubt
    from fleet_tasks t
    where t.completed_at is null or t.id = any(${named.ids}::uuid[]) or t.branch = any(${named.branches}::text[])`;
}

export const HostGcRequest = z.object({
  dryRun: z.boolean(),
  /** Null: every tenant. */
  tenantId: z.string().nullable(),
  productId: z.string().nullable(),
  /** Also collects what belongs to the machine and to no product. */
  machine: z.boolean(),
});
export type HostGcRequest = z.infer<typeof HostGcRequest>;

const GcReport = z.object({
  id: z.uuid(),
  host: z.string(),
  askedBy: z.string(),
  ask: HostGcRequest,
  report: z.unknown(),
  askedAt: z.date(),
  doneAt: z.date().nullable(),
});
export type GcReport = z.infer<typeof GcReport>;

/** Stores each request with the hint to its host, in one transaction. */
export async function insertGcRequests(
  tx: Tx,
  requests: readonly {
    readonly id: string;
    readonly host: string;
    readonly askedBy: string;
    readonly ask: HostGcRequest;
  }[],
): Promise<void> {
  for (const { id, host, askedBy, ask } of requests) {
    const queue = hostQueue(host);
    const payload = { act: "gc", reportId: id } as const;
    await tx.run`
      with request as (
        insert into gc_reports (id, host, asked_by, ask) values (${id}, ${host}, ${askedBy}, ${JSON.stringify(ask)}::jsonb)
      )
      insert into outbox (tenant_id, operator_id, topic, dedup_key, payload)
      values (${ask.tenantId ?? SYSTEM_TENANT}, ${askedBy}, ${queue.name}, ${`${queue.name}/${queue.jobId(payload)}`},
        ${JSON.stringify(payload)}::jsonb)`;
  }
}

export async function listGcReports(tx: Tx, ids: readonly string[]): Promise<GcReport[]> {
  return tx.many(GcReport)`
    select id, host, asked_by, ask, report, asked_at, done_at from gc_reports where id = any(${ids}::uuid[]) order by host`;
}

/** Lists requests that this host has not completed after 5 s: their hints may be lost. */
export async function listOpenGcReports(tx: Tx, host: string, limit: number): Promise<GcReport[]> {
  return tx.many(GcReport)`
    select id, host, asked_by, ask, report, asked_at, done_at from gc_reports
    where host = ${host} and done_at is null and asked_at < now() - interval '5 seconds' order by asked_at limit ${limit}`;
}

export async function completeGcReport(tx: Tx, id: string, report: unknown): Promise<void> {
  await tx.run`
    update gc_reports set report = ${JSON.stringify(report)}::jsonb, done_at = now() where id = ${id} and done_at is null`;
}
