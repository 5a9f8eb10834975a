/** Entries of the audit log as the API returns them, with everything that is needed to verify their chain elsewhere. */
import { z } from "zod";
import type { AuditRecord } from "../domain/audit/audit.ts";

export const AuditEntryView = z
  .object({
    chain: z.string().meta({ description: "`task:<id>`, or `operator:<id>` for actions without a task" }),
    seq: z.int().meta({ description: "Its number in the chain; the first is 1" }),
    at: z.string().meta({ description: "UTC, microseconds" }),
    actor: z.string().meta({ description: "Who did it: an operator, or a process of the fleet" }),
    action: z.string().meta({ examples: ["task.running", "key.rotated", "spawn.denied"] }),
    detail: z.string().meta({ description: "JSON, character for character as it was hashed" }),
    prev_hash: z.string().meta({ description: "The hash of the previous entry; empty for the first" }),
    hash: z.string().meta({
      description: "SHA-256, hex, of prev_hash, seq, at, actor, action and detail, joined by line feeds",
    }),
    tenant_id: z.string(),
    operator_id: z.string(),
    task_id: z.uuid().nullable(),
  })
  .meta({ id: "AuditEntry" });
export type AuditEntryView = z.infer<typeof AuditEntryView>;

export function viewAuditEntry(entry: AuditRecord): AuditEntryView {
  const { chain, seq, actor, action, hash } = entry;
  return {
    chain,
    seq,
    at: entry.atText,
    actor,
    action,
    detail: entry.detailText,
    prev_hash: entry.previousHash,
    hash,
    tenant_id: entry.tenantId,
    operator_id: entry.operatorId,
    task_id: entry.taskId,
  };
}

/** The last line of an export; a file without it is truncated or not finished. */
export const AuditExportEnd = z.strictObject({
  end: z.strictObject({ entries: z.int().min(0), chains: z.int().min(0), at: z.iso.datetime() }),
});
export type AuditExportEnd = z.infer<typeof AuditExportEnd>;
