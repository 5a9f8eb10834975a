/** A host: a machine that holds agents, as its row says. */
import { z } from "zod";

export const Host = z.object({
  id: z.string(),
  bootId: z.string(),
  reporter: z.string(),
  leaseUntil: z.date(),
  alive: z.boolean(),
  /** How long the lease is over, 0 while it holds; database time. */
  overdueMs: z.number(),
  slots: z.int(),
  held: z.int(),
  draining: z.boolean(),
  versions: z.record(z.string(), z.string()),
  load: z.number(),
  diskFreeMb: z.coerce.number(),
  labels: z.record(z.string(), z.string()),
  startedAt: z.date(),
  reportedAt: z.date(),
});
export type Host = z.infer<typeof Host>;
