/** fleet budget: what operators and tenants may use, and what of it is used. */
import { asString, type Command, type CommandOptions, type Shell } from "../command.ts";
import type { BudgetsView } from "../../views/budget.ts";

const allView = async () => (await import("../../views/budget.ts")).BudgetsView;

const LIMITS = ["tokens", "cost", "minutes", "dailyTokens", "dailyCost", "dailyTasks"] as const;

const listCommand: Command = {
  usage: "budget list",
  summary: "budgets and daily caps of your tenant and its operators, and what of them is used",
  options: [["-a, --all", "every tenant's (role admin)"]],
  examples: ["fleet budget list", "fleet budget list --all --json | jq '.budgets[].today'"],

  async run(shell, _args, options) {
    const query = { all: options["all"] === true };
    await printBudgets(shell, await shell.api.request("GET /api/fleet/budgets", { query }, allView));
  },
};

const setCommand: Command = {
  usage: "budget set",
  summary: "say what an operator or a tenant may use (role admin); what is left out stays as it is",
  options: [
    ["--tenant <tenant>", "whose (default: your own)"],
    ["--operator <operator>", "one operator of it; the whole tenant otherwise"],
    ["--tokens <n>", "ever, and what runs is stopped when they are used; none: no limit"],
    ["--cost <dollars>", "the same in US dollars"],
    ["--minutes <n>", "the same in minutes in which agents run"],
    ["--daily-tokens <n>", "per day (UTC): nothing more starts when they are used; none: no cap"],
    ["--daily-cost <dollars>", "the same in US dollars"],
    ["--daily-tasks <n>", "tasks that may be asked for per day (UTC)"],
  ],
  examples: [
    "fleet budget set --tenant acme --cost 500 --daily-cost 50",
    "fleet budget set --tenant acme --operator ada --daily-tasks 20",
    "fleet budget set --tenant acme --daily-cost none",
  ],

  async run(shell, _args, options) {
    const limits = parseLimits(options);
    if (Object.keys(limits).length === 0) {
      const { FleetError } = await import("../../domain/errors.ts");
      throw new FleetError("invalid-input", "Say what to set: for instance --daily-cost 50, or --daily-cost none.");
    }
    const body = { tenant: asString(options["tenant"]), operator: asString(options["operator"]), ...limits };
    await printBudgets(shell, await shell.api.request("POST /api/fleet/budgets", { body }, allView));
  },
};

export const budgetCommands: readonly Command[] = [listCommand, setCommand];

/** What is no number is left for the server to refuse by name. */
function parseLimits(options: CommandOptions): Record<string, unknown> {
  const typed = LIMITS.flatMap((name) => {
    const text = asString(options[name]);
    if (text === undefined) return [];
    return [[name, text === "none" ? null : Number.isNaN(Number(text)) ? text : Number(text)] as const];
  });
  return Object.fromEntries(typed);
}

async function printBudgets({ json, terminal }: Shell, view: BudgetsView): Promise<void> {
  if (json) {
    terminal.json(view);
    return;
  }
  if (view.budgets.length === 0) {
    terminal.line("No budgets: everybody may use as much as they like. Set one: fleet budget set --help");
    return;
  }
  const { renderTable } = await import("../print/table.ts");
  const lines = renderTable(
    terminal,
    [
      { head: "TENANT", drop: 0, cell: ({ tenantId }) => terminal.sanitize(tenantId) },
      {
        head: "OPERATOR",
        drop: 0,
        cell: ({ operatorId }) => (operatorId === null ? "all" : terminal.sanitize(operatorId)),
      },
      { head: "TOKENS", drop: 0, align: "right", cell: ({ used, tokens }) => formatUsage(used.tokens, tokens) },
      { head: "DOLLARS", drop: 0, align: "right", cell: ({ used, cost }) => formatUsage(used.cost, cost) },
      { head: "MINUTES", drop: 1, align: "right", cell: ({ used, minutes }) => formatUsage(used.minutes, minutes) },
      {
        head: "TOKENS/DAY",
        drop: 0,
        align: "right",
        cell: ({ today, dailyTokens }) => formatUsage(today.tokens, dailyTokens),
      },
      {
        head: "DOLLARS/DAY",
        drop: 0,
        align: "right",
        cell: ({ today, dailyCost }) => formatUsage(today.cost, dailyCost),
      },
      {
        head: "TASKS/DAY",
        drop: 0,
        align: "right",
        cell: ({ today, dailyTasks }) => formatUsage(today.tasks, dailyTasks),
      },
    ],
    view.budgets,
  );
  for (const line of lines) terminal.line(line);
}

function formatUsage(used: number | null, limit: number | null): string {
  return limit === null ? "–" : `${round(used)} of ${limit}`;
}

function round(amount: number | null): number {
  return Math.round((amount ?? 0) * 100) / 100;
}
