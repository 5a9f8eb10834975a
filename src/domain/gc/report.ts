/** What garbage collection on one host removed, or would remove. It is printed and stored as evidence, and has the same shape for a dry run. */
import { z } from "zod";
import { GcKind, type GcDecision } from "./gc.ts";

const CollectedItem = z.object({
  kind: GcKind,
  subject: z.string(),
  product: z.string().nullable(),
  path: z.string(),
  bytes: z.number(),
  reason: z.string(),
  /** would: it was a dry run. put-aside: quarantined, and deleted after the grace period. removed: deleted at once, because it is saved elsewhere. */
  outcome: z.enum(["would", "put-aside", "removed", "failed"]),
  /** The command that restores it; null in a dry run. */
  restore: z.string().nullable(),
  /** Why it failed. */
  why: z.string().nullable(),
});
export type CollectedItem = z.infer<typeof CollectedItem>;

export const HostGcReport = z
  .object({
    host: z.string(),
    at: z.iso.datetime(),
    dryRun: z.boolean(),
    gone: z.array(CollectedItem),
    /** Items quarantined earlier whose grace period is over, deleted now. */
    swept: z.array(z.object({ kind: GcKind, subject: z.string(), path: z.string(), bytes: z.number() })),
    kept: z.array(z.object({ kind: GcKind, reason: z.string(), count: z.int() })),
    /** How many items are left for the next pass, because a pass is bounded. */
    more: z.int(),
  })
  .meta({ id: "HostGcReport" });
export type HostGcReport = z.infer<typeof HostGcReport>;

export function toCollectedItem(
  { item, reason }: GcDecision,
  more: Pick<CollectedItem, "bytes" | "outcome" | "restore"> & { readonly why?: string },
): CollectedItem {
  const { kind, subject, path } = item;
  const product = item.kind === "run" ? item.productId : null;
  return { kind, subject, product, path, reason, why: null, ...more };
}
