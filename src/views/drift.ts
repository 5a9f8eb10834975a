/** Requests about drift and research dossiers. The replies are documents that scripts also read as files. */
import { z } from "zod";
import { DossierStatus } from "../domain/science/science.ts";

const ProductId = z.string().min(1).max(64);

export const DriftQuery = z.strictObject({
  product: ProductId.optional(),
  all: z
    .stringbool()
    .default(false)
    .meta({ description: "Also findings that were accepted, and findings that no longer exist" }),
});

export const ScanRequest = z.strictObject({ product: ProductId.optional() });

export const LookAsked = z
  .object({
    look_id: z.uuid(),
    asked_at: z.iso
      .datetime()
      .meta({ description: "The scan is over when `looked_at` of the report is not before it" }),
  })
  .meta({ id: "LookAsked" });
export type LookAsked = z.infer<typeof LookAsked>;

/** A baseline without a reason helps no reader later. */
export const Acceptance = z.strictObject({
  reason: z.string().trim().min(1, "say why: it is recorded with your name").max(500),
});

export const ScienceQuery = z.strictObject({ status: DossierStatus.optional() });
