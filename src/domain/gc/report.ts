/** What one host says it took away, or would: printed, kept as evidence, and the same for a dry run and a real one. */
import { z } from "zod";
import { GcKind, type GcDecision } from "./gc.ts";

const CollectedItem = z.object({
  kind: GcKind,
  subject: z.string(),
  product: z.string().nullable(),
  path: z.string(),
  bytes: z.number(),
  reason: z.string(),
  /** would: a dry run. put-aside: deleted after its grace. removed: at once, because it is saved elsewhere. */
  outcome: z.enum(["would", "put-aside", "removed", "failed"]),
  /** What to type to have it back; null in a dry run. */
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
    /** Put aside earlier, and deleted now. */
    swept: z.array(z.object({ kind: GcKind, subject: z.string(), path: z.string(), bytes: z.number() })),
    kept: z.array(z.object({ kind: GcKind, reason: z.string(), count: z.int() })),
    /** Of the next pass, because this one had enough. */
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
