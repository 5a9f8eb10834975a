/** fleet plan: decides which work orders are next and explains why; proves that a plan follows from its inputs. */
import { join, resolve } from "node:path";
import { asNumber, asString, type Command, type CommandOptions, NOT_VERIFIED, type Shell } from "../command.ts";
import type { PlanView } from "../../views/orders/plan.ts";

const replayView = async () => (await import("../../views/orders/plan.ts")).ReplayView;

export const planCommand: Command = {
  usage: "plan",
  summary: "decide which work orders are next, and store them until they are run",
  options: [
    ["--budget <n>", "how many orders, 1 to 1000 (default: 10)"],
    ["--explain", "show how each score is composed"],
    ["--product <product>", "only this product"],
    ["--from-schedules", "only orders that are due by a schedule"],
    ["--dry-run", "store nothing"],
    ["--out <folder>", "also write each order to a file in this folder"],
    ["--as-of <moment>", "compute ages as of this moment (default: the full hour)"],
    ["--replay <plan>", "recompute a plan from its stored inputs, and compare every byte"],
    ["--list", "list the stored plans"],
  ],
  examples: [
    "fleet plan --budget 3 --explain",
    "fleet plan --from-schedules --dry-run",
    "fleet plan --json | jq '.orders[].order.product_id'",
    "fleet plan --out orders && ls orders",
    "fleet plan --replay 3f9a1c2b",
  ],

  async run(shell, _args, options) {
    const replay = asString(options["replay"]);
    if (replay !== undefined) return replayPlan(shell, replay);
    if (options["list"]) return listPlans(shell);
    return createPlan(shell, options);
  },
};

async function createPlan({ api, terminal, json, world }: Shell, options: CommandOptions): Promise<number> {
  const [{ parseInput }, { PlanRequest, PlanView: View }] = await Promise.all([
    import("../../domain/errors.ts"),
    import("../../views/orders/plan.ts"),
  ]);
  const made = await api.request(
    "POST /api/fleet/plan",
    { body: parseInput(PlanRequest, buildPlanRequest(options)) },
    View,
  );
  const out = asString(options["out"]);
  const files = out === undefined ? [] : await writeOrders(made, world.cwd, out);
  if (json) terminal.json(made.plan);
  else {
    const { planLines } = await import("../print/plan-table.ts");
    const shown = { explain: options["explain"] === true, files, now: world.clock() };
    for (const line of planLines(terminal, made, shown)) terminal.line(line);
  }
  return 0;
}

/** Options that were not given are left out, so that only the schema defines the defaults. */
function buildPlanRequest(options: CommandOptions): Record<string, unknown> {
  const fields = {
    budget: asNumber(options["budget"]),
    product: options["product"],
    source: options["fromSchedules"] ? "schedules" : undefined,
    dryRun: options["dryRun"] === true ? true : undefined,
    asOf: options["asOf"],
  };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/** One file per order, named so that they sort in planned order; each is validated before it is written. */
async function writeOrders({ plan: made }: PlanView, cwd: string, out: string): Promise<string[]> {
  const [{ mkdir, writeFile }, { WorkOrder }, { shortId }] = await Promise.all([
    import("node:fs/promises"),
    import("../../domain/orders/order.ts"),
    import("../../domain/task/task.ts"),
  ]);
  const folder = resolve(cwd, out);
  await mkdir(folder, { recursive: true });
  const digits = String(made.orders.length).length;
  const files: string[] = [];
  for (const [at, { order }] of made.orders.entries()) {
    const name = [String(at + 1).padStart(digits, "0"), order.product_id, order.intent, shortId(order.job_id)].join(
      "-",
    );
    const file = join(folder, `${name}.json`);
    await writeFile(file, `${JSON.stringify(WorkOrder.parse(order), undefined, 2)}\n`);
    files.push(file);
  }
  return files;
}

async function replayPlan({ api, terminal, json }: Shell, id: string): Promise<number> {
  const replay = await api.request("POST /api/fleet/plans/:plan/replay", { path: { plan: id } }, replayView);
  if (json) terminal.json(replay);
  else {
    const verdict = replay.holds ? "follows from its inputs, byte by byte" : "does not hold";
    terminal.line(`${terminal.mark(replay.holds)} Plan ${replay.planId} ${verdict}`);
    for (const { what, holds, why } of replay.checks) {
      const because = why === null ? "" : terminal.paint("dim", `: ${terminal.sanitize(why)}`);
      terminal.line(`  ${terminal.mark(holds)} ${what}${because}`);
    }
  }
  return replay.holds ? 0 : NOT_VERIFIED;
}

async function listPlans({ api, terminal, json, world }: Shell): Promise<number> {
  const page = await api.request("GET /api/fleet/plans", { query: { limit: 50 } }, async () => {
    const [{ pageOf }, { PlanSummary }] = await Promise.all([
      import("../../views/page.ts"),
      import("../../views/orders/plan.ts"),
    ]);
    return pageOf(PlanSummary);
  });
  if (json) terminal.json(page);
  else {
    const { planListLines } = await import("../print/plan-table.ts");
    for (const line of planListLines(terminal, page.items, world.clock())) terminal.line(line);
  }
  return 0;
}
