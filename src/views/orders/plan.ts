/** Plans as they are asked for and shown. The plan itself is the document that is stored, to the byte. */
import { z } from "zod";
import { Plan, type StoredPlan } from "../../domain/plan/plan.ts";
import { PlanBudget, PlanSource } from "../../domain/plan/inputs.ts";
import { Slug } from "../../domain/product.ts";
import { Stops } from "../estop.ts";

const Moment = z.iso.datetime();

export const PlanRequest = z.strictObject({
  budget: PlanBudget.default(10).meta({ description: "How many orders; fewer when there are no more candidates" }),
  source: PlanSource.default("state").meta({ description: "schedules: only what is due" }),
  product: Slug.optional().meta({ description: "Only this one" }),
  dryRun: z.boolean().default(false).meta({ description: "Nothing is stored" }),
  asOf: Moment.optional().meta({ description: "What counts as old is counted from here; the full hour when left out" }),
});
export type PlanRequest = z.infer<typeof PlanRequest>;

export const PlanOrderView = z.object({
  jobId: z.uuid(),
  state: z.enum(["planned", "open", "done"]).meta({
    description: "open: an order for the same is pending or running already; done: this plan was carried out",
  }),
  orderId: z.uuid(),
});

export const PlanView = z
  .object({
    plan: Plan,
    dryRun: z.boolean(),
    stops: Stops,
    stored: z.int().meta({ description: "Orders that are new" }),
    standings: z.array(PlanOrderView).meta({ description: "How each of its orders stands with those there are" }),
  })
  .meta({ id: "MadePlan" });
export type PlanView = z.infer<typeof PlanView>;

export const PlanSummary = z
  .object({
    id: z.uuid(),
    operatorId: z.string(),
    source: PlanSource,
    asOf: Moment,
    wanted: z.int(),
    candidates: z.int(),
    inputSha256: z.string(),
    outputSha256: z.string(),
    createdAt: Moment,
  })
  .meta({ id: "PlanSummary" });
export type PlanSummary = z.infer<typeof PlanSummary>;

export const ReplayView = z
  .object({
    planId: z.uuid(),
    holds: z.boolean(),
    checks: z.array(z.object({ what: z.string(), holds: z.boolean(), why: z.string().nullable() })),
  })
  .meta({ id: "Replay" });
export type ReplayView = z.infer<typeof ReplayView>;

export function viewPlanSummary(row: StoredPlan): PlanSummary {
  const { id, operatorId, source, wanted, candidates, inputSha256, outputSha256 } = row;
  const moments = { asOf: row.asOf.toISOString(), createdAt: row.createdAt.toISOString() };
  return { id, operatorId, source, ...moments, wanted, candidates, inputSha256, outputSha256 };
}
