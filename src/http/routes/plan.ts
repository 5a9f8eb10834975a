/** /plan and /plans: planning work orders, reading plans, and replaying one to prove it. */
import { z } from "zod";
import { listEstops } from "../../conductor/attempts/estop.ts";
import type { Fleet } from "../../conductor/fleet.ts";
import { getPlan, listPlansFor, makePlan, replayPlan } from "../../conductor/planner/plan.ts";
import type { Operator } from "../../domain/operator.ts";
import { viewEstops } from "../../views/estop.ts";
import { PageQuery, pageOf, viewPage } from "../../views/page.ts";
import { PlanRequest, PlanSummary, PlanView, ReplayView, viewPlanSummary } from "../../views/orders/plan.ts";
import { defineRoute } from "../route.ts";
import { decodeCursor, encodeCursor } from "./cursor.ts";

const stopsFor = async (fleet: Fleet, by: Operator) => viewEstops(await listEstops(fleet, by));

const PlanParams = z.strictObject({
  plan: z.string().min(4).max(36).meta({ description: "Id, or a prefix of it" }),
});

export const planRoute = defineRoute(
  {
    method: "post",
    path: "/api/fleet/plan",
    tier: "builder",
    summary: "Plan the next work orders and store them as pending",
    description: "The same request on unchanged inputs gives the same plan, which is stored once.",
    body: PlanRequest,
    reply: PlanView,
    errors: ["not-found", "product-stopped", "stopped"],
  },
  async (fleet: Fleet, { operator, body }) => {
    const { budget, source, product, dryRun, asOf } = body;
    const at = asOf === undefined ? undefined : new Date(asOf);
    const made = await makePlan(fleet, operator, { wanted: budget, source, productId: product, dryRun, asOf: at });
    return { body: { ...made, dryRun, stops: await stopsFor(fleet, operator), standings: [...made.standings] } };
  },
);

export const plansRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/plans",
    tier: "observer",
    summary: "Plans, newest first",
    query: PageQuery,
    reply: pageOf(PlanSummary),
  },
  async (fleet: Fleet, { operator, query }) => {
    const before = query.cursor === undefined ? undefined : decodeCursor(query.cursor);
    const { plans, next } = await listPlansFor(fleet, operator, { before, limit: query.limit });
    const nextCursor = next ? encodeCursor(next) : null;
    return { body: viewPage({ items: plans, nextCursor }, viewPlanSummary) };
  },
);

export const onePlanRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/plans/:plan",
    tier: "observer",
    summary: "One plan, as it was created",
    params: PlanParams,
    reply: PlanView,
    errors: ["not-found", "ambiguous-name", "not-verified"],
  },
  async (fleet: Fleet, { operator, params }) => {
    const made = await getPlan(fleet, operator, params.plan);
    return { body: { ...made, dryRun: false, stops: await stopsFor(fleet, operator), standings: [...made.standings] } };
  },
);

export const replayPlanRoute = defineRoute(
  {
    method: "post",
    path: "/api/fleet/plans/:plan/replay",
    tier: "builder",
    summary: "Plan again from the stored inputs, and compare hashes and bytes",
    params: PlanParams,
    reply: ReplayView,
    errors: ["not-found", "ambiguous-name"],
  },
  async (fleet: Fleet, { operator, params }) => {
    const { planId, holds, checks } = await replayPlan(fleet, operator, params.plan);
    return { body: { planId, holds, checks: [...checks] } };
  },
);
