/** audit_log for people and exports: newest first, or chain by chain with the hash that each entry continues. */
import { z } from "zod";
import { NIL_UUID } from "../domain/text/uuid.ts";
import { sql, type Tx } from "./sql.ts";
import { AuditRecord } from "../domain/audit/audit.ts";

/** Where retention removed entries, the next one continues the hash that audit_heads has of them. */
const columns = sql`a.id, a.tenant_id, a.operator_id, a.chain, a.seq, a.task_id,
  to_char(a.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at_text, a.actor, a.action,
  a.detail::text as detail_text, a.hash,
  coalesce(
    (select b.hash from audit_log b where b.chain = a.chain and b.seq = a.seq - 1 limit 1),
    (select h.removed_hash from audit_heads h where h.chain = a.chain collate "C" and h.removed_seq = a.seq - 1),
    '') as previous_hash`;

export interface AuditFilter {
  readonly operatorId?: string | undefined;
  /** The name of the action, or its first words: `key` finds `key.rotated`. */
  readonly act?: string | undefined;
  readonly since?: Date | undefined;
}

/** Returns the number after the newest entry: a listing begins there. */
export async function getNextAuditId(tx: Tx): Promise<number> {
  const row = await tx.one(z.object({ id: z.coerce.number() }))`
    select coalesce((select id from audit_log order by id desc limit 1), 0) + 1 as id`;
  return row.id;
}

/** Finds when the newest entry before this one was written: a listing reports how far back it has read. */
export async function findEntryTimeBefore(tx: Tx, id: number): Promise<Date | undefined> {
  const row = await tx.maybeOne(z.object({ at: z.date() }))`
    select at from audit_log where id < ${id} order by id desc limit 1`;
  return row?.at;
}

/** Lists those from `from` to before `before`, newest first. The range bounds the cost, however few of them are visible. */
export async function listAuditRecords(
  tx: Tx,
  { operatorId, act, since }: AuditFilter,
  range: { readonly from: number; readonly before: number; readonly limit: number },
): Promise<AuditRecord[]> {
  return tx.many(AuditRecord)`
    select ${columns} from audit_log a
    where a.id >= ${range.from} and a.id < ${range.before}
      and (${operatorId ?? null}::text is null or a.operator_id = ${operatorId ?? null})
      and (${act ?? null}::text is null or a.action = ${act ?? null} or starts_with(a.action, ${act ?? null} || '.'))
      and (${since ?? null}::timestamptz is null or a.at >= ${since ?? null})
    order by a.id desc limit ${range.limit}`;
}

/** Lists those of one chain, newest first. They have an index of their own, so that no range is needed. */
export async function listChainRecords(
  tx: Tx,
  chain: string,
  { operatorId, act, since }: AuditFilter,
  range: { readonly before: number; readonly limit: number },
): Promise<AuditRecord[]> {
  return tx.many(AuditRecord)`
    select ${columns} from audit_log a
    where a.chain = ${chain} and a.id < ${range.before}
      and (${operatorId ?? null}::text is null or a.operator_id = ${operatorId ?? null})
      and (${act ?? null}::text is null or a.action = ${act ?? null} or starts_with(a.action, ${act ?? null} || '.'))
      and (${since ?? null}::timestamptz is null or a.at >= ${since ?? null})
    order by a.seq desc limit ${range.limit}`;
}

/** The names of chains, also of those whose task is gone, in the order of their letters; each source pages along its own key. */
export async function listChains(tx: Tx, after: string, limit: number): Promise<string[]> {
  const afterTask = after.startsWith("task:") ? after.slice("task:".length) : NIL_UUID;
  const rows = await tx.many(z.object({ chain: z.string() }))`
    select chain from (
      (select ('operator:' || id) collate "C" as chain from operators where 'operator:' || id > ${after} collate "C"
        order by 1 limit ${limit})
      union
      (select ('task:' || id) collate "C" from (
        select id from fleet_tasks where id > ${afterTask}::uuid order by id limit ${limit}) as t)
      union
      (select chain from audit_heads where chain > ${after} order by chain limit ${limit})
    ) as known order by chain limit ${limit}`;
  return rows.map(({ chain }) => chain);
}

/** Lists the entries of these chains after a place, by chain and number. */
export async function listExportRecords(
  tx: Tx,
  chains: readonly string[],
  { after, since, until, limit }: ExportRange,
): Promise<AuditRecord[]> {
  return tx.many(AuditRecord)`
    select ${columns} from audit_log a
    where a.chain = any(${chains}) and (a.chain <> ${after.chain} or a.seq > ${after.seq})
      and (${since ?? null}::timestamptz is null or a.at >= ${since ?? null})
      and (${until ?? null}::timestamptz is null or a.at < ${until ?? null})
    order by a.chain collate "C", a.seq limit ${limit}`;
}

export interface ExportRange {
  readonly after: { readonly chain: string; readonly seq: number };
  readonly since?: Date | undefined;
  readonly until?: Date | undefined;
  readonly limit: number;
}
