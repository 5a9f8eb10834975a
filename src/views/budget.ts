/** Budgets and daily caps as the API returns them, and as an admin sets them. */
import { z } from "zod";
import { OwnerBudget, type BudgetRow } from "../domain/budget.ts";

const usageSchema = (description: string) =>
  z.object({ tokens: z.number(), cost: z.number(), minutes: z.number().nullable(), tasks: z.int().nullable() }).meta({
    description,
  });

export const BudgetView = OwnerBudget.extend({
  tenantId: z.string(),
  operatorId: z.string().nullable().meta({ description: "null: the whole tenant" }),
  used: usageSchema("In total; tasks are counted per day only"),
  today: usageSchema("Since midnight UTC; minutes have no daily cap"),
  updatedBy: z.string(),
  updatedAt: z.iso.datetime(),
}).meta({ id: "Budget", description: "null: no limit; cost in US dollars" });
export type BudgetView = z.infer<typeof BudgetView>;

export const BudgetsView = z.object({ budgets: z.array(BudgetView) }).meta({ id: "Budgets" });
export type BudgetsView = z.infer<typeof BudgetsView>;

export const BudgetRequest = OwnerBudget.partial()
  .extend({
    tenant: z.string().min(1).max(128).optional().meta({ description: "Your own if left out" }),
    operator: z
      .string()
      .min(1)
      .max(128)
      .regex(/^[A-Za-z0-9]/, "must be the name of an operator")
      .optional()
      .meta({ description: "The whole tenant if left out" }),
  })
  .strict()
  .meta({ id: "BudgetRequest", description: "A limit that is left out stays as it is; null removes it" });

export function viewBudget(row: BudgetRow): BudgetView {
  return {
    tenantId: row.tenantId,
    operatorId: row.operatorId === "*" ? null : row.operatorId,
    tokens: row.tokens,
    cost: row.cost,
    minutes: row.minutes,
    dailyTokens: row.dailyTokens,
    dailyCost: row.dailyCost,
    dailyTasks: row.dailyTasks,
    used: { tokens: row.usedTokens, cost: row.usedCost, minutes: row.usedMinutes, tasks: null },
    today: { tokens: row.todayTokens, cost: row.todayCost, minutes: null, tasks: row.todayTasks },
    updatedBy: row.updatedBy,
    updatedAt: row.updatedAt.toISOString(),
  };
}
