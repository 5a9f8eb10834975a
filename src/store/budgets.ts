/** budgets and spending: the limits of operators and tenants, and their usage. Only processors write them (worker role). */
import { z } from "zod";
import { BudgetRow, Cap, type OwnerBudget } from "../domain/budget.ts";
import type { AgentFacts } from "../domain/monitor/facts.ts";
import { WHOLE_TENANT } from "../domain/tenant.ts";
import { sql, type Tx } from "./sql.ts";

const selectBudgets = sql`
  select b.tenant_id, b.operator_id, b.tokens, b.cost, b.minutes, b.daily_tokens, b.daily_cost, b.daily_tasks,
    coalesce(e.tokens, 0) as used_tokens, coalesce(e.cost, 0) as used_cost, coalesce(e.minutes, 0) as used_minutes,
    coalesce(d.tokens, 0) as today_tokens, coalesce(d.cost, 0) as today_cost, coalesce(d.tasks, 0) as today_tasks,
    fleet_today() as today, b.updated_by, b.updated_at
  from budgets b
    left join spending e on e.tenant_id = b.tenant_id and e.operator_id = b.operator_id and e.period = 'ever'
    left join spending d on d.tenant_id = b.tenant_id and d.operator_id = b.operator_id and d.period = fleet_today()`;

export async function listBudgets(tx: Tx, tenantId?: string): Promise<BudgetRow[]> {
  const where = tenantId === undefined ? sql`true` : sql`b.tenant_id = ${tenantId}`;
  return tx.many(BudgetRow)`${selectBudgets} where ${where} order by b.tenant_id, b.operator_id collate "C"`;
}

/** Lists those of which at least this share of one limit is used. */
export async function listNearlyUsedBudgets(tx: Tx, share: number): Promise<BudgetRow[]> {
  return tx.many(BudgetRow)`${selectBudgets}
    where coalesce(e.tokens, 0) >= b.tokens * ${share}::float8 or coalesce(e.cost, 0) >= b.cost * ${share}::float8
      or coalesce(e.minutes, 0) >= b.minutes * ${share}::float8 or coalesce(d.tokens, 0) >= b.daily_tokens * ${share}::float8
      or coalesce(d.cost, 0) >= b.daily_cost * ${share}::float8 or coalesce(d.tasks, 0) >= b.daily_tasks * ${share}::float8
    order by b.tenant_id, b.operator_id collate "C"`;
}

/** Replaces the budget. Tasks that were admitted earlier on the same day count towards a new daily cap. */
export async function upsertBudget(
  tx: Tx,
  { tenantId, operatorId, by, ...budget }: OwnerBudget & { tenantId: string; operatorId: string; by: string },
): Promise<void> {
  const { tokens, cost, minutes, dailyTokens, dailyCost, dailyTasks } = budget;
  await tx.run`
    insert into budgets (tenant_id, operator_id, tokens, cost, minutes, daily_tokens, daily_cost, daily_tasks, updated_by)
    values (${tenantId}, ${operatorId}, ${tokens}, ${cost}, ${minutes}, ${dailyTokens}, ${dailyCost}, ${dailyTasks}, ${by})
    on conflict on constraint budgets_pkey do update set tokens = excluded.tokens, cost = excluded.cost,
      minutes = excluded.minutes, daily_tokens = excluded.daily_tokens, daily_cost = excluded.daily_cost,
      daily_tasks = excluded.daily_tasks, updated_by = excluded.updated_by, updated_at = now()`;
  const ownerFilter = operatorId === WHOLE_TENANT ? sql`true` : sql`t.operator_id = ${operatorId}`;
  await tx.run`
    insert into spending as s (tenant_id, operator_id, period, tasks)
    select ${tenantId}, ${operatorId}, fleet_today(), count(*) from fleet_tasks t
    where t.tenant_id = ${tenantId} and ${ownerFilter} and t.created_at >= date_trunc('day', now() at time zone 'utc') at time zone 'utc'
    on conflict on constraint spending_pkey do update set tasks = greatest(s.tasks, excluded.tasks)`;
  // Tasks that wait for budget are due at once, so that they try again.
  await tx.run`
    update fleet_tasks t set due_at = now()
    where t.tenant_id = ${tenantId} and t.status in ('proposed', 'retrying') and t.condition = 'waiting_slot'
      and t.condition_detail ? 'budget'`;
}

export async function findBudget(tx: Tx, tenantId: string, operatorId: string): Promise<BudgetRow | undefined> {
  return tx.maybeOne(BudgetRow)`${selectBudgets} where b.tenant_id = ${tenantId} and b.operator_id = ${operatorId}`;
}

/** Finds the used-up budget or daily cap, of the operator or of the tenant, that keeps this operator's tasks from starting. */
export async function findReachedCap(
  tx: Tx,
  { tenantId, operatorId }: { readonly tenantId: string; readonly operatorId: string },
): Promise<Cap | undefined> {
  const row = await tx.one(z.object({ cap: Cap.nullable() }))`
    select fleet_over_budget(${tenantId}, ${operatorId}, '{}') as cap`;
  return row.cap ?? undefined;
}

const ExhaustedBudget = z.object({ tenantId: z.string(), operatorId: z.string(), cap: Cap });
export type ExhaustedBudget = z.infer<typeof ExhaustedBudget>;

/** Lists the used-up budgets (not daily caps) of these tenants: their running tasks are to be stopped. */
export async function listExhaustedBudgets(tx: Tx, tenantIds: readonly string[]): Promise<ExhaustedBudget[]> {
  return tx.many(ExhaustedBudget)`
    select b.tenant_id, b.operator_id, jsonb_build_object('scope', case when b.operator_id = '*' then 'tenant' else 'operator' end,
      'what', c.what, 'daily', false, 'limit', c.most, 'used', c.used) as cap
    from budgets b
      cross join lateral (select tokens, cost, minutes from spending
        where tenant_id = b.tenant_id and operator_id = b.operator_id and period = 'ever' limit 1) as e
      cross join lateral (values ('tokens', b.tokens, e.tokens), ('cost', b.cost, e.cost), ('minutes', b.minutes, e.minutes))
        as c(what, most, used)
    where b.tenant_id = any(${tenantIds}) and c.used >= c.most`;
}

type AgentUsage = Pick<AgentFacts, "taskId" | "attempt" | "usage"> & { readonly dispatchId?: string };

/** Records the usage and run time of one host's agents, in one statement. Figures only grow, so that a repeated report counts once. */
export async function recordUsage(tx: Tx, facts: readonly AgentUsage[]): Promise<number> {
  if (facts.length === 0) return 0;
  const batch = facts.map(({ taskId, attempt, dispatchId = null, usage }) => {
    return { taskId, attempt, dispatchId, tokens: usage?.tokens ?? null, cost: usage?.cost ?? null };
  });
  const row = await tx.one(z.object({ grew: z.int() }))`
    select fleet_record_usage(${JSON.stringify(batch)}::jsonb) as grew`;
  return row.grew;
}
