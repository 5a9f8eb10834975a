/** fleet operators: the known operators, and the most rights that their tokens may claim. */
import type { OperatorView } from "../../views/token.ts";
import { asString, type Command, type Shell } from "../command.ts";
import { renderTable } from "../print/table.ts";
import { ago } from "../print/format.ts";

const views = () => import("../../views/token.ts");

const operatorView = async () => (await views()).OperatorView;

const listCommand: Command = {
  usage: "operators",
  summary: "list the operators of all tenants, with the highest rights their tokens may claim (role admin)",
  options: [["--limit <n>", "how many at most (default: 50)"]],
  examples: ["fleet operators", "fleet operators --json | jq -r '.items[] | select(.disabledAt != null).id'"],

  async run(shell, _args, options) {
    const query = { limit: asString(options["limit"]) };
    const page = await shell.api.request("GET /api/fleet/operators", { query }, async () => {
      const [{ pageOf }, { OperatorView: View }] = await Promise.all([import("../../views/page.ts"), views()]);
      return pageOf(View);
    });
    if (shell.json) return shell.terminal.json(page);
    printOperators(shell, page.items);
    if (page.nextCursor !== null) shell.terminal.note("There are more. Show them: --limit 200");
  },
};

const setCommand: Command = {
  usage: "operators set <operator>",
  summary: "register an operator, or change their tier or role; takes effect with their next request (role admin)",
  options: [
    ["--tenant <tenant>", "required for a new operator"],
    ["--tier <tier>", "observer, participant, builder, architect or sovereign"],
    ["--role <role>", "admin, queue-operator or none"],
  ],
  examples: ["fleet operators set ada --tier observer", "fleet operators set bob --tenant acme --tier builder"],

  async run(shell, [operator = ""], { tenant, tier, role }) {
    const [{ parseInput }, { OperatorChange }] = await Promise.all([import("../../domain/errors.ts"), views()]);
    const body = parseInput(OperatorChange, { operator, tenant, tier, role });
    printOperator(shell, await shell.api.request("POST /api/fleet/operators", { body }, operatorView));
  },
};

const disableCommand: Command = {
  usage: "operators disable <operator>",
  summary: "reject every token of an operator; their running tasks continue (role admin)",
  options: [],
  examples: ["fleet operators disable ada"],

  async run(shell, [operator = ""]) {
    const params = { path: { operator } };
    printOperator(shell, await shell.api.request("POST /api/fleet/operators/:operator/disable", params, operatorView));
  },
};

const enableCommand: Command = {
  usage: "operators enable <operator>",
  summary: "accept an operator's tokens again (role admin)",
  options: [],
  examples: ["fleet operators enable ada"],

  async run(shell, [operator = ""]) {
    const params = { path: { operator } };
    printOperator(shell, await shell.api.request("POST /api/fleet/operators/:operator/enable", params, operatorView));
  },
};

/** The command that the bare word runs comes first. */
export const operatorsCommands: readonly Command[] = [listCommand, setCommand, disableCommand, enableCommand];

function printOperator(shell: Shell, operator: OperatorView): void {
  if (shell.json) shell.terminal.json(operator);
  else printOperators(shell, [operator]);
}

function printOperators({ terminal, world }: Shell, operators: readonly OperatorView[]): void {
  const rows = renderTable<OperatorView>(
    terminal,
    [
      { head: "OPERATOR", drop: 0, cell: ({ id }) => terminal.sanitize(id) },
      { head: "TENANT", drop: 0, cell: ({ tenant }) => terminal.sanitize(tenant) },
      { head: "TIER", drop: 0, cell: ({ tier }) => tier },
      { head: "ROLE", drop: 1, cell: ({ role }) => role ?? "" },
      { head: "DISABLED", drop: 1, cell: ({ disabledAt }) => (disabledAt ? ago(disabledAt, world.clock()) : "") },
    ],
    operators,
  );
  for (const line of rows) terminal.line(line);
}
