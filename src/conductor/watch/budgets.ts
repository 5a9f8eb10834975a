/** Budgets and daily caps of operators and tenants: who sets them, who sees them, and who is told when they are nearly used. */
import {
  OwnerBudget,
  describeCap,
  describeCapWarning,
  WARN_SHARE,
  type BudgetRow,
  type Cap,
} from "../../domain/budget.ts";
import { FleetError } from "../../domain/errors.ts";
import type { AlertContent, AlertKind } from "../../domain/notify/alert.ts";
import type { Operator } from "../../domain/operator.ts";
import { WHOLE_TENANT } from "../../domain/tenant.ts";
import { closeAlert, listOpenAlerts } from "../../store/alerts.ts";
import * as budgets from "../../store/budgets.ts";
import { findOperator, auditBy } from "../../store/operators.ts";
import { raiseAlert } from "./alerts.ts";
import type { Fleet } from "../fleet.ts";
import { visibleTo, ensureSystemOperator } from "../scope.ts";

export interface SetBudgetRequest {
  readonly tenantId?: string | undefined;
  /** Without it, the budget of the whole tenant is set. */
  readonly operatorId?: string | undefined;
  /** Limits that are left out stay as they are. */
  readonly change: { readonly [Figure in keyof OwnerBudget]?: OwnerBudget[Figure] | undefined };
}

const NO_BUDGET: OwnerBudget = {
  tokens: null,
  cost: null,
  minutes: null,
  dailyTokens: null,
  dailyCost: null,
  dailyTasks: null,
};

/** Throws "tier-too-low" unless an admin sets it, and "not-found" for an operator of another tenant. */
export async function setBudget(
  fleet: Fleet,
  by: Operator,
  { tenantId = by.tenantId, operatorId = WHOLE_TENANT, change }: SetBudgetRequest,
): Promise<BudgetRow> {
  return fleet.store.asSystem(async (tx) => {
    if (operatorId !== WHOLE_TENANT && (await findOperator(tx, operatorId))?.tenantId !== tenantId) {
      throw new FleetError("not-found", `Tenant ${tenantId} has no operator ${operatorId}.`, { tenantId, operatorId });
    }
    const before = await budgets.findBudget(tx, tenantId, operatorId);
    const budget = OwnerBudget.parse({ ...NO_BUDGET, ...before, ...definedFields(change) });
    await budgets.upsertBudget(tx, { tenantId, operatorId, ...budget, by: by.id });
    await auditBy(tx, by, "budget.set", { tenantId, operatorId, ...budget });
    const after = await budgets.findBudget(tx, tenantId, operatorId);
    if (!after) throw new Error("The budget that was just written cannot be read.");
    return after;
  });
}

function definedFields(change: SetBudgetRequest["change"]): Partial<OwnerBudget> {
  return Object.fromEntries(Object.entries(change).filter(([, limit]) => limit !== undefined));
}

/** One's own tenant's, or for an admin everybody's. */
export async function listBudgetsFor(
  fleet: Fleet,
  by: Operator,
  { all }: { readonly all: boolean },
): Promise<BudgetRow[]> {
  const isAll = all && by.role === "admin";
  return fleet.store.transaction(visibleTo(by, { all: isAll }), (tx) =>
    budgets.listBudgets(tx, isAll ? undefined : by.tenantId),
  );
}

const ALERT_KINDS = ["BUDGET_WARNING", "BUDGET_EXCEEDED"] as const;

/**
 * Raises an alert once when a budget is nearly used and once when it is used up; after the budget was raised, it may alert
 * again. Undefined when another worker is checking.
 */
export async function watchBudgets(fleet: Fleet): Promise<number | undefined> {
  const raised = await fleet.store.tryWithLock("watch-budgets", async () => {
    const rows = await fleet.store.asSystem((tx) => budgets.listNearlyUsedBudgets(tx, WARN_SHARE));
    const owners = new Map<string, string>();
    for (const { tenantId } of rows.filter(({ operatorId }) => operatorId === WHOLE_TENANT)) {
      owners.set(tenantId, (await ensureSystemOperator(fleet, tenantId)).id);
    }
    const wanted = rows.flatMap((row) => toBudgetAlerts(row, owners.get(row.tenantId) ?? row.operatorId));
    return fleet.store.asSystem(async (tx) => {
      let count = 0;
      for (const { kind, notice } of wanted) if (await raiseAlert(fleet, tx, kind, notice)) count += 1;
      const keys = new Set(wanted.map(({ notice }) => notice.key));
      for (const { key } of await listOpenAlerts(tx, ALERT_KINDS)) if (!keys.has(key)) await closeAlert(tx, key);
      return count;
    });
  });
  if (raised) fleet.kickRelay();
  return raised;
}

function toBudgetAlerts(row: BudgetRow, reporterId: string): { kind: AlertKind; notice: AlertContent }[] {
  const { tenantId, operatorId, today } = row;
  const isTenant = operatorId === WHOLE_TENANT;
  return toCaps(row).flatMap((cap) => {
    if (cap.used < cap.limit * WARN_SHARE) return [];
    const kind = cap.used >= cap.limit ? "BUDGET_EXCEEDED" : "BUDGET_WARNING";
    const key = `budget/${tenantId}/${operatorId}/${cap.what}/${cap.daily ? today : "ever"}/${kind}`;
    const subject = isTenant ? `tenant ${tenantId}` : `operator ${operatorId}`;
    const summary = `${subject}: ${kind === "BUDGET_EXCEEDED" ? describeCap(cap) : describeCapWarning(cap)}`;
    const owner = { tenantId, operatorId: isTenant ? reporterId : operatorId };
    return [{ kind, notice: { ...owner, key, subject, summary, facts: { ...cap, subject } } }];
  });
}

function toCaps(row: BudgetRow): Cap[] {
  const scope = row.operatorId === WHOLE_TENANT ? ("tenant" as const) : ("operator" as const);
  const figures = [
    { what: "tokens", daily: false, limit: row.tokens, used: row.usedTokens },
    { what: "cost", daily: false, limit: row.cost, used: row.usedCost },
    { what: "minutes", daily: false, limit: row.minutes, used: row.usedMinutes },
    { what: "tokens", daily: true, limit: row.dailyTokens, used: row.todayTokens },
    { what: "cost", daily: true, limit: row.dailyCost, used: row.todayCost },
    { what: "tasks", daily: true, limit: row.dailyTasks, used: row.todayTasks },
  ] as const;
  return figures.flatMap(({ limit, ...cap }) => (limit === null ? [] : [{ scope, ...cap, limit }]));
}
