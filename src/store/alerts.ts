/** alerts: what is wrong now, or was. An episode begins once and ends once, however often it is seen. Worker role. */
import { z } from "zod";
import type { AlertContent, AlertKind } from "../domain/notify/alert.ts";
import { sql, type Tx } from "./sql.ts";

export const Alert = z.object({
  key: z.string(),
  tenantId: z.string(),
  operatorId: z.string(),
  kind: z.string(),
  episode: z.int(),
  summary: z.string(),
  facts: z.record(z.string(), z.unknown()),
  raisedAt: z.date(),
});
export type Alert = z.infer<typeof Alert>;

const columns = sql`key, tenant_id, operator_id, kind, episode, summary, facts, raised_at`;

/** The number of the episode that begins with this; undefined when it is under way, and then it says what is known now. */
export async function openAlert(tx: Tx, kind: AlertKind, notice: AlertContent): Promise<number | undefined> {
  const { key, tenantId, operatorId, summary } = notice;
  const facts = JSON.stringify(notice.facts);
  const row = await tx.maybeOne(z.object({ episode: z.int() }))`
    insert into alerts as a (key, tenant_id, operator_id, kind, summary, facts)
    values (${key}, ${tenantId}, ${operatorId}, ${kind}, ${summary}, ${facts}::jsonb)
    on conflict on constraint alerts_pkey do update set episode = a.episode + 1, is_open = true, ended_at = null,
      raised_at = now(), summary = excluded.summary, facts = excluded.facts
    where not a.is_open
    returning episode`;
  return row?.episode;
}

/** The episode that ends; undefined when none was under way. */
export async function closeAlert(tx: Tx, key: string): Promise<Alert | undefined> {
  return tx.maybeOne(Alert)`
    update alerts set is_open = false, ended_at = now() where key = ${key} and is_open returning ${columns}`;
}

export async function listOpenAlerts(tx: Tx, kinds: readonly AlertKind[]): Promise<Alert[]> {
  return tx.many(Alert)`select ${columns} from alerts where is_open and kind = any(${kinds}) order by raised_at, key`;
}
