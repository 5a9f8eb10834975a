/** Results of the self-checks of the fleet: the audit chains, and the invariants. */
import { z } from "zod";

export const AuditProof = z
  .object({
    ok: z.boolean(),
    chains: z.int().meta({ description: "Tasks whose chain was recomputed" }),
    entries: z.int(),
    broken: z
      .array(z.object({ taskId: z.string(), seq: z.int(), why: z.string() }))
      .meta({ description: "The first broken entry of each broken chain" }),
    checkpoint: z
      .object({
        id: z.int(),
        at: z.string(),
        chains: z.int(),
        broken: z.array(z.object({ id: z.int(), why: z.string() })),
      })
      .nullable()
      .meta({
        description:
          "The last signed checkpoint, and what is wrong with it or an earlier one; null: none, or not visible to you",
      }),
  })
  .meta({ id: "AuditProof" });
export type AuditProof = z.infer<typeof AuditProof>;

export const CheckpointView = z
  .object({ id: z.int(), at: z.string(), chains: z.int(), keyId: z.string() })
  .meta({ id: "AuditCheckpoint" });

export const InvariantView = z
  .object({
    id: z.string().meta({ examples: ["INV-014", "R2"] }),
    statement: z.string(),
    holds: z.boolean().nullable().meta({ description: "null: could not be checked here" }),
    violations: z.array(z.string()),
  })
  .meta({ id: "Invariant" });

export const HouseCheckView = z
  .object({
    name: z.string().meta({ examples: ["monitor/invariants", "host/build-1"] }),
    everyMs: z.number(),
    lastGoodAt: z.iso.datetime().nullable().meta({ description: "When it last completed; null: never" }),
    tookMs: z.number(),
    runs: z.boolean().meta({ description: "false: it has not completed for two periods and a minute" }),
    result: z.record(z.string(), z.unknown()).meta({ description: "Its last result, as far as it is stored" }),
  })
  .meta({ id: "HouseCheck" });

export const AlertView = z
  .object({ kind: z.string(), key: z.string(), summary: z.string(), since: z.iso.datetime(), episode: z.int() })
  .meta({ id: "Alert" });

export const InvariantsView = z
  .object({
    ok: z.boolean().meta({ description: "Every invariant holds, and every check runs" }),
    at: z.iso.datetime(),
    invariants: z.array(InvariantView),
    checks: z.array(HouseCheckView).meta({ description: "The periodic self-checks, including those of hosts" }),
    alerts: z.array(AlertView).meta({ description: "The open alerts, as they were reported" }),
  })
  .meta({ id: "Invariants" });
export type InvariantsView = z.infer<typeof InvariantsView>;
