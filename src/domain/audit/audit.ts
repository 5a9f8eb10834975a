/** The audit chain: what an entry's hash is made of, and where a chain is broken. */
import { z } from "zod";

export interface ChainLink {
  readonly seq: number;
  /** `2026-11-20T12:00:00.123456Z` */
  readonly atText: string;
  readonly actor: string;
  readonly action: string;
  /** The detail exactly as the database prints it. */
  readonly detailText: string;
  readonly hash: string;
}

export interface BrokenLink {
  readonly seq: number;
  readonly why: string;
}

/** The text whose SHA-256, in hex, is the entry's hash. The database makes the same text (fleet_audit_hash). */
export function auditHashInput(previousHash: string, link: Omit<ChainLink, "hash">): string {
  return [previousHash, String(link.seq), link.atText, link.actor, link.action, link.detailText].join("\n");
}

/** Follows a chain, page by page: feed `state` of one page into the next. */
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
        broken: { seq: seq + 1, why: `entry ${seq + 1} is missing or doubled; ${link.seq} follows` },
      };
    }
    if (sha256(auditHashInput(hash, link)) !== link.hash) {
      return { seq, hash, broken: { seq: link.seq, why: "its content does not give its hash" } };
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
  /** Microseconds, UTC: what the hash was made of. */
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
