/** audit_log by months: partitions made ahead of time, which there are, and taking the oldest away. */
import { z } from "zod";
import type { Tx } from "./sql.ts";

/** 'again': another call, in a transaction of its own, goes on. */
export async function createAuditMonths(tx: Tx, ahead: number): Promise<"done" | "again"> {
  const row = await tx.one(z.object({ state: z.enum(["done", "again"]) }))`
    select fleet_audit_months(${ahead}) as state`;
  return row.state;
}

const Month = z.object({ name: z.string(), from: z.date().nullable(), until: z.date() });
export type AuditMonth = z.infer<typeof Month>;

/** Oldest first; `from` is null where it holds all before. The default partition is none of them. */
export async function listAuditMonths(tx: Tx): Promise<AuditMonth[]> {
  return tx.many(Month)`
    select c.relname as name, substring(b.bound from 'FROM [(]''([^'']+)''[)]')::timestamptz as from,
      substring(b.bound from 'TO [(]''([^'']+)''[)]')::timestamptz as until
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
      cross join lateral (select pg_get_expr(c.relpartbound, c.oid) as bound) b
    where i.inhparent = 'audit_log'::regclass and b.bound like '% TO (%'
    order by until`;
}

/** Chains of which the month has entries that no checkpoint knows. */
export async function listUncoveredChains(tx: Tx, { from, until }: AuditMonth, limit: number): Promise<string[]> {
  const rows = await tx.many(z.object({ chain: z.string() }))`
    select last.chain from (
      select chain, max(seq) as seq from audit_log
      where at >= coalesce(${from}::timestamptz, '-infinity') and at < ${until} group by chain) as last
    left join audit_heads h on h.chain = last.chain collate "C"
    where h.seq is null or h.seq < last.seq limit ${limit}`;
  return rows.map(({ chain }) => chain);
}

/** Somebody has read the whole log to its end since then. Acts without a task are in their operators' chains. */
export async function wasExportedSince(tx: Tx, since: Date): Promise<boolean> {
  const row = await tx.one(z.object({ was: z.boolean() }))`
    select exists (select from operators o join audit_log a on a.chain = 'operator:' || o.id
      where a.action = 'audit.exported' and a.at >= ${since}) as was`;
  return row.was;
}

/** From now on chains are held to from behind what this month has of them. Returns how many, and how many entries. */
export async function markMonthRemoved(
  tx: Tx,
  { from, until }: AuditMonth,
): Promise<{ chains: number; entries: number }> {
  return tx.one(z.object({ chains: z.int(), entries: z.int() }))`
    with gone as (
      select chain, max(seq) as seq, (array_agg(hash order by seq desc))[1] as hash, count(*)::int as entries from audit_log
      where at >= coalesce(${from}::timestamptz, '-infinity') and at < ${until} group by chain
    ), noted as (
      update audit_heads h set removed_seq = gone.seq, removed_hash = gone.hash
      from gone where h.chain = gone.chain collate "C" and gone.seq > h.removed_seq
    )
    select count(*)::int as chains, coalesce(sum(entries), 0)::int as entries from gone`;
}

/** As the database prints it: what a checkpoint signs. */
export async function formatJsonb(tx: Tx, value: unknown): Promise<string> {
  return (await tx.one(z.object({ text: z.string() }))`select ${JSON.stringify(value)}::jsonb::text as text`).text;
}

/** With all that is in it. Refused without a checkpoint that says so, and for a month that is not over for a month. */
export async function dropAuditMonth(tx: Tx, name: string, checkpointId: number): Promise<void> {
  await tx.run`select fleet_audit_drop_month(${name}, ${checkpointId})`;
}
