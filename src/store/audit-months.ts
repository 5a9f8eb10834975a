/** The monthly partitions of audit_log: creating them ahead of time, listing them, and dropping the oldest. */
import { z } from "zod";
import type { Tx } from "./sql.ts";

/** 'again': call it once more, in another transaction, to continue. */
export async function createAuditMonths(tx: Tx, ahead: number): Promise<"done" | "again"> {
  const row = await tx.one(z.object({ state: z.enum(["done", "again"]) }))`
    select fleet_audit_months(${ahead}) as state`;
  return row.state;
}

const Month = z.object({ name: z.string(), from: z.date().nullable(), until: z.date() });
export type AuditMonth = z.infer<typeof Month>;

/** Lists them oldest first, without the default partition; `from` is null for one that holds everything before `until`. */
export async function listAuditMonths(tx: Tx): Promise<AuditMonth[]> {
  return tx.many(Month)`
    select c.relname as name, substring(b.bound from 'FROM [(]''([^'']+)''[)]')::timestamptz as from,
      substring(b.bound from 'TO [(]''([^'']+)''[)]')::timestamptz as until
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
      cross join lateral (select pg_get_expr(c.relpartbound, c.oid) as bound) b
    where i.inhparent = 'audit_log'::regclass and b.bound like '% TO (%'
    order by until`;
}

/** Lists the chains with entries in this month that no checkpoint covers. */
export async function listUncoveredChains(tx: Tx, { from, until }: AuditMonth, limit: number): Promise<string[]> {
  const rows = await tx.many(z.object({ chain: z.string() }))`
    select last.chain from (
      select chain, max(seq) as seq from audit_log
      where at >= coalesce(${from}::timestamptz, '-infinity') and at < ${until} group by chain) as last
    left join audit_heads h on h.chain = last.chain collate "C"
    where h.seq is null or h.seq < last.seq limit ${limit}`;
  return rows.map(({ chain }) => chain);
}

/** Whether an operator has exported the whole log since then. Actions without a task are in their operators' chains. */
export async function wasExportedSince(tx: Tx, since: Date): Promise<boolean> {
  const row = await tx.one(z.object({ was: z.boolean() }))`
    select exists (select from operators o join audit_log a on a.chain = 'operator:' || o.id
      where a.action = 'audit.exported' and a.at >= ${since}) as was`;
  return row.was;
}

/** Lets verification start after this month's entries in each chain. Returns the number of chains and of entries. */
export async function markMonthRemoved(
  tx: Tx,
  { from, until }: AuditMonth,
): Promise<{ chains: number; entries: number }> {
  return tx.one(z.object({ chains: z.int(), entries: z.int() }))`
    with removed as (
      select chain, max(seq) as seq, (array_agg(hash order by seq desc))[1] as hash, count(*)::int as entries from audit_log
      where at >= coalesce(${from}::timestamptz, '-infinity') and at < ${until} group by chain
    ), noted as (
      update audit_heads h set removed_seq = removed.seq, removed_hash = removed.hash
      from removed where h.chain = removed.chain collate "C" and removed.seq > h.removed_seq
    )
    select count(*)::int as chains, coalesce(sum(entries), 0)::int as entries from removed`;
}

/** Formats a value as the database prints it, because that text is what a checkpoint signs. */
export async function formatJsonb(tx: Tx, value: unknown): Promise<string> {
  return (await tx.one(z.object({ text: z.string() }))`select ${JSON.stringify(value)}::jsonb::text as text`).text;
}

/** Drops a month with all its entries. The database refuses without a checkpoint that names it, and until a month after its end. */
export async function dropAuditMonth(tx: Tx, name: string, checkpointId: number): Promise<void> {
  await tx.run`select fleet_audit_drop_month(${name}, ${checkpointId})`;
}
