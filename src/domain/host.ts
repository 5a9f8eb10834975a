/** A host: a machine that runs agents, as stored in its row. */
import { z } from "zod";

export const Host = z.object({
  id: z.string(),
  bootId: z.string(),
  reporter: z.string(),
  leaseUntil: z.date(),
  alive: z.boolean(),
  /** How long ago the lease expired, by database time; 0 while it is valid. */
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
