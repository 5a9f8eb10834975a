/** last_run.json tells scripts and people how a product's latest run went. Its field names are a public contract. */
import { z } from "zod";

const Timestamp = z.iso.datetime();
const Amount = z.number().min(0);

export const LastRun = z
  .strictObject({
    schema_version: z.literal(1),
    product_id: z.string(),
    run_id: z.uuid(),
    started_at: Timestamp,
    ended_at: Timestamp.nullable(),
    status: z.enum(["success", "failed", "in_progress", "cancelled"]),
    summary: z.string().max(2_000).meta({ description: "a summary in one sentence" }),
    evidence: z.strictObject({
      paths: z.array(z.string()).meta({ description: "paths relative to the folder of the product's runs" }),
    }),
    economy: z.strictObject({
      budget_tokens: Amount.nullable(),
      spent_tokens: Amount,
      budget_minutes: Amount.nullable(),
      spent_minutes: Amount,
      max_heal_attempts: z.int().min(0),
      heal_attempts_used: z.int().min(0),
    }),
    kill_switch: z.strictObject({ enabled: z.boolean(), reason: z.string() }),
    pr_wave: z.strictObject({
      state: z.enum(["idle", "open"]),
      open_prs: z.int().min(0),
      last_update: Timestamp.nullable(),
    }),
  })
  .meta({ id: "last_run", description: "How the latest run of a product went" });
export type LastRun = z.infer<typeof LastRun>;
