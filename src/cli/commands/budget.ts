/** fleet budget: the limits of operators and tenants, and how much of them is used. */
import { asString, type Command, type CommandOptions, type Shell } from "../command.ts";
import type { BudgetsView } from "../../views/budget.ts";

const allView = async () => (await import("../../views/budget.ts")).BudgetsView;

const LIMITS = ["tokens", "cost", "minutes", "dailyTokens", "dailyCost", "dailyTasks"] as const;

const listCommand: Command = {
  usage: "budget list",
  summary: "list the budgets and daily caps of your tenant and its operators, with usage",
  options: [["-a, --all", "every tenant's (role admin)"]],
  examples: ["fleet budget list", "fleet budget list --all --json | jq '.budgets[].today'"],

  async run(shell, _args, options) {
    const query = { all: options["all"] === true };
    await printBudgets(shell, await shell.api.request("GET /api/fleet/budgets", { query }, allView));
  },
};

const setCommand: Command = {
  usage: "budget set",
  summary: "set the limits of an operator or a tenant (role admin); limits not given stay unchanged",
  options: [
    ["--tenant <tenant>", "which tenant (default: your own)"],
    ["--operator <operator>", "one operator of the tenant (default: the whole tenant)"],
    ["--tokens <n>", "total token budget; running agents are stopped when it is used up; none: no limit"],
    ["--cost <dollars>", "the same as a cost in US dollars"],
    ["--minutes <n>", "total budget in minutes of agent run time"],
    ["--daily-tokens <n>", "tokens per day (UTC); nothing new starts when they are used up; none: no cap"],
    ["--daily-cost <dollars>", "the same as a cost in US dollars"],
    ["--daily-tasks <n>", "tasks that may be requested per day (UTC)"],
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
      throw new FleetError(
        "invalid-input",
        "Nothing to set. Give a limit, for example --daily-cost 50, or --daily-cost none.",
      );
    }
    const body = { tenant: asString(options["tenant"]), operator: asString(options["operator"]), ...limits };
    await printBudgets(shell, await shell.api.request("POST /api/fleet/budgets", { body }, allView));
  },
};

export const budgetCommands: readonly Command[] = [listCommand, setCommand];

/** Text that is not a number is passed on, because the server's error names the field. */
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
    terminal.line("No budgets are set, so usage is unlimited. Set one: fleet budget set --help");
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
