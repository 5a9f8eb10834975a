/** Budgets: what a task, an operator or a tenant may use in total or per day (UTC), and when that is exhausted or nearly so. */
import { z } from "zod";
import { FleetError } from "./errors.ts";

const Tokens = z.int().min(0).max(1e15);
const Cost = z.number().min(0).max(1e9);
const Minutes = z.number().min(0).max(1e9);

/** The budget of one task covers all of its attempts together. */
export const TaskBudget = z
  .strictObject({
    tokens: Tokens.min(1).optional(),
    cost: Cost.gt(0).optional().meta({ description: "In US dollars" }),
    minutes: Minutes.gt(0).optional().meta({ description: "Time its agents may run" }),
  })
  .meta({ id: "TaskBudget" });
export type TaskBudget = z.infer<typeof TaskBudget>;

/** The budget of an operator or a tenant; null means unlimited. */
export const OwnerBudget = z.object({
  tokens: Tokens.nullable(),
  cost: Cost.nullable(),
  minutes: Minutes.nullable(),
  dailyTokens: Tokens.nullable(),
  dailyCost: Cost.nullable(),
  dailyTasks: z.int().min(0).max(1e9).nullable(),
});
export type OwnerBudget = z.infer<typeof OwnerBudget>;

/** A limit that was reached: who it belongs to, which unit, and how much was used. */
export const Cap = z.object({
  scope: z.enum(["task", "operator", "tenant"]),
  what: z.enum(["tokens", "cost", "minutes", "tasks"]),
  daily: z.boolean(),
  limit: z.number(),
  used: z.number(),
});
export type Cap = z.infer<typeof Cap>;

/** Above this share of a budget, people are warned. */
export const WARN_SHARE = 0.8;

const BUDGET_UNITS = ["tokens", "cost", "minutes"] as const;
type BudgetUnit = (typeof BUDGET_UNITS)[number];

type Amounts = Readonly<Record<string, unknown>>;

/** Returns the first limit of which `share` or more is used. A limit that is not a number is ignored. */
export function firstReachedCap(
  budget: Amounts,
  spend: Amounts,
  share = 1,
): (Cap & { readonly what: BudgetUnit }) | undefined {
  return reachedCaps(budget, spend, share)[0];
}

export function reachedCaps(budget: Amounts, spend: Amounts, share: number): (Cap & { readonly what: BudgetUnit })[] {
  return BUDGET_UNITS.flatMap((what) => {
    const [limit, used] = [budget[what], spend[what] ?? 0];
    if (typeof limit !== "number" || typeof used !== "number" || used < limit * share) return [];
    return [{ scope: "task" as const, what, daily: false, limit, used }];
  });
}

const UNIT_LABELS = { tokens: "tokens", cost: "US dollars", minutes: "minutes", tasks: "tasks" } as const;

/** Describes the cap in one sentence without its full stop. */
export function describeCap(cap: Cap): string {
  const { limit, used } = cap;
  if (used >= limit) return `${capLabel(cap)} is used up (${formatAmount(used)})`;
  return `${capLabel(cap)} does not have that much left: ${formatAmount(used)} used`;
}

/** Describes a cap that is nearly, but not yet, used up. */
export function describeCapWarning(cap: Cap): string {
  return `${formatAmount(cap.used)} used of ${capLabel(cap).replace("The", "the")}`;
}

function capLabel({ scope, what, daily, limit }: Cap): string {
  return `The ${scope}'s ${daily ? "daily cap" : "budget"} of ${formatAmount(limit)} ${UNIT_LABELS[what]}`;
}

/** Tells the user what to do about a cap. */
export function capAdvice(cap: Pick<Cap, "scope" | "daily">): string {
  return cap.scope === "task" ? "Create a new task with a larger budget" : `Available again ${describeReset(cap)}`;
}

export function describeReset({ daily }: Pick<Cap, "daily">): string {
  return daily ? "after midnight UTC, when the day's caps reset" : "when an admin raises it (fleet budget set)";
}

/** When a day's caps reset; null for what does not by itself. */
export function resetAt({ daily }: Pick<Cap, "daily">, now: Date): Date | null {
  return daily ? new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate() + 1)) : null;
}

function formatAmount(figure: number): string {
  return String(Math.round(figure * 100) / 100);
}

/** The total usage that an agent has reported so far. */
export interface Usage {
  readonly tokens: number | null;
  readonly cost: number | null;
}

const UsageLine = z
  .object({ tokens_in: Tokens.optional(), tokens_out: Tokens.optional(), cost_usd: Cost.optional() })
  .transform(({ tokens_in: read, tokens_out: written, cost_usd: cost = null }): Usage => {
    return { tokens: read === undefined && written === undefined ? null : (read ?? 0) + (written ?? 0), cost };
  });

/** Returns the largest figures among the valid lines; undefined when there is none. Agents may write anything, so invalid lines are skipped. */
export function parseUsage(text: string): Usage | undefined {
  let highest: Usage | undefined;
  for (const line of text.split("\n")) {
    const usage = UsageLine.safeParse(parseJsonLine(line)).data;
    if (!usage || (usage.tokens === null && usage.cost === null)) continue;
    highest = { tokens: larger(highest?.tokens, usage.tokens), cost: larger(highest?.cost, usage.cost) };
  }
  return highest;
}

function larger(one: number | null | undefined, other: number | null): number | null {
  if (one === null || one === undefined) return other;
  return other === null ? one : Math.max(one, other);
}

function parseJsonLine(line: string): unknown {
  if (!line.startsWith("{")) return undefined;
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** The request was refused because of a budget or a daily cap, not because of the tier. */
export class CapReachedError extends FleetError {
  constructor(cap: Cap, now: Date) {
    super("cap-reached", `${describeCap(cap)}. ${capAdvice(cap)}.`, {
      ...cap,
      resetsAt: resetAt(cap, now)?.toISOString() ?? null,
    });
  }
}

export const BudgetRow = OwnerBudget.extend({
  tenantId: z.string(),
  operatorId: z.string(),
  usedTokens: z.number(),
  usedCost: z.number(),
  usedMinutes: z.number(),
  todayTokens: z.number(),
  todayCost: z.number(),
  todayTasks: z.int(),
  /** In UTC, as the database has it. */
  today: z.string(),
  updatedBy: z.string(),
  updatedAt: z.date(),
});
export type BudgetRow = z.infer<typeof BudgetRow>;
