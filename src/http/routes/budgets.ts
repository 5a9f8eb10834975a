/** /budgets: what operators and tenants may use. */
import { z } from "zod";
import { listBudgetsFor, setBudget } from "../../conductor/watch/budgets.ts";
import type { Fleet } from "../../conductor/fleet.ts";
import { BudgetRequest, BudgetsView, viewBudget } from "../../views/budget.ts";
import { defineRoute } from "../route.ts";
import { AllTenants } from "./params.ts";

export const budgetsRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/budgets",
    tier: "observer",
    summary: "Budgets and daily caps of one's own tenant and its operators, and what of them is used",
    query: z.strictObject({ all: AllTenants }),
    reply: BudgetsView,
  },
  async (fleet: Fleet, { operator, query }) => ({
    body: { budgets: (await listBudgetsFor(fleet, operator, query)).map((row) => viewBudget(row)) },
  }),
);

export const setBudgetRoute = defineRoute(
  {
    method: "post",
    path: "/api/fleet/budgets",
    tier: "observer",
    summary: "Set what an operator or a tenant may use (role admin)",
    description: "What is left out stays as it is, null takes a limit away. Who waits for it asks again at once.",
    body: BudgetRequest,
    reply: BudgetsView,
    errors: ["tier-too-low", "not-found"],
  },
  async (fleet: Fleet, { operator, body }) => {
    const { tenant, operator: operatorId, ...change } = body;
    const row = await setBudget(fleet, operator, { tenantId: tenant, operatorId, change });
    return { body: { budgets: [viewBudget(row)] } };
  },
);
