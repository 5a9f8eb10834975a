/** What gc did, or would do, host by host. */
import { z } from "zod";
import { HostGcReport } from "../domain/gc/report.ts";
import { Slug } from "../domain/product.ts";

export const GcRequest = z.strictObject({
  dryRun: z.boolean().default(false).meta({ description: "Report what would be collected, and change nothing" }),
  product: Slug.optional().meta({ description: "Only the runs of one product" }),
});
export type GcRequest = z.infer<typeof GcRequest>;

export const GcView = z
  .object({
    dryRun: z.boolean(),
    graceMinutes: z.number().meta({ description: "From quarantine to deletion" }),
    hosts: z.array(HostGcReport),
    waiting: z
      .array(z.string())
      .meta({ description: "Hosts that have not reported yet; they still do what was requested" }),
  })
  .meta({ id: "Gc" });
export type GcView = z.infer<typeof GcView>;
