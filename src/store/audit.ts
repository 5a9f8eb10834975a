/** audit_log for verification: chains in order, with the exact text from which each hash was computed. */
import { z } from "zod";
import type { Tx } from "./sql.ts";
import { AuditEntry } from "../domain/audit/audit.ts";
import { NIL_UUID } from "../domain/text/uuid.ts";

/** Lists a chain's entries after one and up to another, so that entries appended meanwhile are left out. */
export async function listAuditEntries(
  tx: Tx,
  chain: string,
  range: { after: number; upTo?: number; limit: number },
): Promise<AuditEntry[]> {
  return tx.many(AuditEntry)`
    select id::text, chain, seq, task_id, at, to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at_text,
      actor, action, detail::text as detail_text, hash
    from audit_log where chain = ${chain} and seq > ${range.after} and seq <= ${range.upTo ?? 2_147_483_647}
    order by seq, id limit ${range.limit}`;
}

const Head = z.object({ chain: z.string(), seq: z.int(), head: z.string() });
export type ChainHead = z.infer<typeof Head>;

/** Heads as the operators and then the tasks say, page by page; or the one named. */
export async function listChainHeads(tx: Tx, after: string, limit: number, only?: string): Promise<ChainHead[]> {
  const afterTask = after.startsWith("task:") ? after.slice("task:".length) : NIL_UUID;
  const task = only?.startsWith("task:") ? only.slice("task:".length) : null;
  // Each side is paged by its own primary key: one sorted union would read every task for every page.
  return tx.many(Head)`
    select chain, seq, head from (
    (select 'operator:' || id as chain, audit_seq as seq, audit_head as head from operators
      where audit_seq > 0 and ${after} < 'task:' and 'operator:' || id > ${after} collate "C"
        and (${only ?? null}::text is null or 'operator:' || id = ${only ?? null})
      order by 'operator:' || id collate "C" limit ${limit})
    union all
    (select 'task:' || id, audit_seq, audit_head from fleet_tasks
      where id > ${afterTask}::uuid and (${only ?? null}::text is null or id = ${task}::uuid)
      order by id limit ${limit})
    ) as heads order by chain collate "C" limit ${limit}`;
}

/** Counts refused spawns per operator within the last minutes. No index has actions, so it reads only entries from number `from` on. */
export async function listDenials(
  tx: Tx,
  { from, minutes }: { readonly from: number; readonly minutes: number },
): Promise<{ operatorId: string; refused: number }[]> {
  return tx.many(z.object({ operatorId: z.string(), refused: z.int() }))`
    select operator_id, count(*)::int as refused from audit_log
    where id >= ${from} and action = 'spawn.denied' and at > now() - ${minutes} * interval '1 minute'
    group by operator_id order by operator_id`;
}
