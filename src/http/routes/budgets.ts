/** /budgets: how much operators and tenants may use. */
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
    summary: "Budgets and daily caps of your tenant and its operators, with their usage",
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
    role: "admin",
    summary: "Set the budget of an operator or a tenant",
    description:
      "A limit that is left out stays as it is; null removes it. Tasks that wait for the budget are checked again at once.",
    body: BudgetRequest,
    reply: BudgetsView,
    errors: ["not-found"],
  },
  async (fleet: Fleet, { operator, body }) => {
    const { tenant, operator: operatorId, ...change } = body;
    const row = await setBudget(fleet, operator, { tenantId: tenant, operatorId, change });
    return { body: { budgets: [viewBudget(row)] } };
  },
);
