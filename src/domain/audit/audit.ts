/** The audit hash chain: how an entry's hash is computed, and how a chain is verified. */
import { z } from "zod";

export interface ChainLink {
  readonly seq: number;
  /** `2026-11-20T12:00:00.123456Z` */
  readonly atText: string;
  readonly actor: string;
  readonly action: string;
  /** The detail exactly as PostgreSQL prints it, because the hash covers that text. */
  readonly detailText: string;
  readonly hash: string;
}

export interface BrokenLink {
  readonly seq: number;
  readonly why: string;
}

/** Returns the text whose SHA-256 (hex) is the entry's hash. The SQL function fleet_audit_hash builds the same text. */
export function auditHashInput(previousHash: string, link: Omit<ChainLink, "hash">): string {
  return [previousHash, String(link.seq), link.atText, link.actor, link.action, link.detailText].join("\n");
}

/** Verifies a chain page by page: the returned `seq` and `hash` of one page are the `from` of the next. */
export function verifyLinks(
  links: readonly ChainLink[],
  from: { readonly seq: number; readonly hash: string },
  sha256: (text: string) => string,
): { readonly seq: number; readonly hash: string; readonly broken: BrokenLink | undefined } {
  let { seq, hash } = from;
  for (const link of links) {
    if (link.seq !== seq + 1) {
      return {
        seq,
        hash,
        broken: { seq: seq + 1, why: `entry ${seq + 1} is missing or duplicated; the next entry is ${link.seq}` },
      };
    }
    if (sha256(auditHashInput(hash, link)) !== link.hash) {
      return { seq, hash, broken: { seq: link.seq, why: "its content does not match its hash" } };
    }
    seq = link.seq;
    hash = link.hash;
  }
  return { seq, hash, broken: undefined };
}

export const AuditEntry = z.object({
  id: z.string(),
  chain: z.string(),
  seq: z.int(),
  taskId: z.uuid().nullable(),
  at: z.date(),
  /** The time in UTC with microseconds, as the hash covers it. */
  atText: z.string(),
  actor: z.string(),
  action: z.string(),
  detailText: z.string(),
  hash: z.string(),
});
export type AuditEntry = z.infer<typeof AuditEntry>;

export const AuditRecord = z.object({
  id: z.coerce.number(),
  tenantId: z.string(),
  operatorId: z.string(),
  chain: z.string(),
  seq: z.int(),
  taskId: z.uuid().nullable(),
  /** Microseconds, UTC: what the hash was made of. */
  atText: z.string(),
  actor: z.string(),
  action: z.string(),
  /** Exactly as the database prints it, for the same reason. */
  detailText: z.string(),
  previousHash: z.string(),
  hash: z.string(),
});
export type AuditRecord = z.infer<typeof AuditRecord>;
