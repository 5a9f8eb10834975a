/** Plans as they are requested and returned. The plan itself is the stored document, byte for byte. */
import { z } from "zod";
import { Plan, type StoredPlan } from "../../domain/plan/plan.ts";
import { PlanBudget, PlanSource } from "../../domain/plan/inputs.ts";
import { Slug } from "../../domain/product.ts";
import { Stops } from "../estop.ts";

const Moment = z.iso.datetime();

export const PlanRequest = z.strictObject({
  budget: PlanBudget.default(10).meta({ description: "How many orders; fewer when there are no more candidates" }),
  source: PlanSource.default("state").meta({ description: "schedules: only what is due" }),
  product: Slug.optional().meta({ description: "Only this product" }),
  dryRun: z.boolean().default(false).meta({ description: "Nothing is stored" }),
  asOf: Moment.optional().meta({ description: "Ages are counted from here; from the full hour if left out" }),
});
export type PlanRequest = z.infer<typeof PlanRequest>;

export const PlanOrderView = z.object({
  jobId: z.uuid(),
  state: z.enum(["planned", "open", "done"]).meta({
    description: "open: such an order is pending or running already; done: the orders of this plan have run",
  }),
  orderId: z.uuid(),
});

export const PlanView = z
  .object({
    plan: Plan,
    dryRun: z.boolean(),
    stops: Stops,
    stored: z.int().meta({ description: "How many new orders were stored" }),
    standings: z.array(PlanOrderView).meta({ description: "Whether each of its orders exists already" }),
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
