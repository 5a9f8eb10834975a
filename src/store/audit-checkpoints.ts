/** audit_checkpoints and the heads they sign: how long each audit chain was, and with which hash it ended. */
import { z } from "zod";
import type { Tx } from "./sql.ts";

const Checkpoint = z.object({
  id: z.coerce.number(),
  atText: z.string(),
  heads: z.coerce.number(),
  digest: z.string(),
  previous: z.string(),
  removedText: z.string(),
  keyId: z.string(),
  signature: z.string(),
});
export type Checkpoint = z.infer<typeof Checkpoint>;

const SignedCheckpoint = Checkpoint.extend({
  /** Undefined when no such key is known. */
  publicJwk: z.record(z.string(), z.unknown()).nullable(),
  /** The key was revoked before the signature was made. */
  wasRevoked: z.boolean().nullable(),
});
export type SignedCheckpoint = z.infer<typeof SignedCheckpoint>;

const Page = z.object({ last: z.string().nullable() });

/**
 * Takes the next tasks' heads over. One that is kept already moves on only when the entry it names is still there: what a
 * checkpoint has signed is not forgotten because a chain was rewritten.
 */
export async function upsertTaskHeads(tx: Tx, after: string, limit: number): Promise<string | undefined> {
  const page = await tx.one(Page)`
    with page as (
      select t.id, 'task:' || t.id as chain, t.tenant_id, t.operator_id, t.audit_seq as seq, t.audit_head as head
      from fleet_tasks t where t.id > ${after}::uuid order by t.id limit ${limit}
    ), written as (
      insert into audit_heads as known (chain, tenant_id, operator_id, seq, head)
      select p.chain, p.tenant_id, p.operator_id, p.seq, p.head from page p left join audit_heads k on k.chain = p.chain
      where p.seq > coalesce(k.seq, 0)
      on conflict on constraint audit_heads_pkey do update set seq = excluded.seq, head = excluded.head
      where known.seq = known.removed_seq or exists (select from audit_log a
        where a.chain = known.chain collate "default" and a.seq = known.seq and a.hash = known.head)
    )
    select (select id::text from page order by page.id desc limit 1) as last`;
  return page.last ?? undefined;
}

/** The same for the operators' own chains; there are few. */
export async function upsertOperatorHeads(tx: Tx): Promise<void> {
  await tx.run`
    insert into audit_heads as known (chain, tenant_id, operator_id, seq, head)
    select 'operator:' || o.id, o.tenant_id, o.id, o.audit_seq, o.audit_head
    from operators o left join audit_heads k on k.chain = 'operator:' || o.id
    where o.audit_seq > coalesce(k.seq, 0)
    on conflict on constraint audit_heads_pkey do update set seq = excluded.seq, head = excluded.head
    where known.seq = known.removed_seq or exists (select from audit_log a
      where a.chain = known.chain collate "default" and a.seq = known.seq and a.hash = known.head)`;
}

const AuditHead = z.object({
  chain: z.string(),
  seq: z.int(),
  head: z.string(),
  removedSeq: z.int(),
  removedHash: z.string(),
});
export type AuditHead = z.infer<typeof AuditHead>;

export async function listAuditHeads(tx: Tx, after: string, limit: number): Promise<AuditHead[]> {
  return tx.many(AuditHead)`
    select chain, seq, head, removed_seq, removed_hash from audit_heads where chain > ${after} order by chain limit ${limit}`;
}

const HeadComparison = AuditHead.extend({
  /** The hash that the log has at this place now. */
  found: z.string().nullable(),
  /** The last entry of the chain in the log. */
  lastSeq: z.int().nullable(),
  /** Its task or operator is still there, and remembers the head itself. */
  isLive: z.boolean(),
});
export type HeadComparison = z.infer<typeof HeadComparison>;

/** Heads as a checkpoint knew them, beside what the log says now. */
export async function listHeadComparisons(
  tx: Tx,
  { after, limit, only }: { readonly after: string; readonly limit: number; readonly only?: string | undefined },
): Promise<HeadComparison[]> {
  return tx.many(HeadComparison)`
    select h.chain, h.seq, h.head, h.removed_seq, h.removed_hash,
      (select a.hash from audit_log a where a.chain = h.chain collate "default" and a.seq = h.seq limit 1) as found,
      (select a.seq from audit_log a where a.chain = h.chain collate "default" order by a.seq desc limit 1) as last_seq,
      case when h.chain like 'task:%' then exists (select from fleet_tasks t where t.id = substr(h.chain, 6)::uuid)
        else exists (select from operators o where o.id = substr(h.chain, 10)) end as is_live
    from audit_heads h
    where h.chain > ${after} and (${only ?? null}::text is null or h.chain = ${only ?? null})
    order by h.chain limit ${limit}`;
}

const Anchor = z.object({ removedSeq: z.int(), removedHash: z.string() });

/** From where on a chain's entries have to be there. */
export async function getChainAnchor(tx: Tx, chain: string): Promise<{ seq: number; hash: string }> {
  const anchor = await tx.maybeOne(Anchor)`
    select removed_seq, removed_hash from audit_heads where chain = ${chain} and removed_seq > 0`;
  return { seq: anchor?.removedSeq ?? 0, hash: anchor?.removedHash ?? "" };
}

export async function insertCheckpoint(tx: Tx, checkpoint: Omit<Checkpoint, "id">): Promise<number> {
  const row = await tx.one(z.object({ id: z.coerce.number() }))`
    insert into audit_checkpoints (at, heads, digest, previous, removed, key_id, signature)
    values (${checkpoint.atText}::timestamptz, ${checkpoint.heads}, ${checkpoint.digest}, ${checkpoint.previous}, ${checkpoint.removedText}::jsonb,
      ${checkpoint.keyId}, ${checkpoint.signature})
    returning id`;
  return row.id;
}

/** The newest, by any signer. */
export async function findLastCheckpoint(tx: Tx): Promise<SignedCheckpoint | undefined> {
  const [last] = await listSignedCheckpoints(tx, { before: Number.MAX_SAFE_INTEGER, limit: 1 });
  return last;
}

/** Newest first. */
export async function listSignedCheckpoints(
  tx: Tx,
  { before, limit }: { before: number; limit: number },
): Promise<SignedCheckpoint[]> {
  return tx.many(SignedCheckpoint)`
    select c.id, to_char(c.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at_text, c.heads, c.digest,
      c.previous, c.removed::text as removed_text, c.key_id, c.signature, k.public_jwk, k.revoked_at <= c.at as was_revoked
    from audit_checkpoints c left join signing_keys k on k.id = c.key_id
    where c.id < ${before} order by c.id desc limit ${limit}`;
}
