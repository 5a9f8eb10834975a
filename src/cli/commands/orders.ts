/** fleet orders: lists work orders, and creates one by hand. */
import { asNumber, asString, type Command, type CommandOptions } from "../command.ts";

const listCommand: Command = {
  usage: "orders",
  summary: "list work orders, newest first",
  options: [
    ["--status <status>", "pending, running, completed, failed or skipped"],
    ["--product <product>", "only this product's"],
    ["--intent <intent>", "only this intent"],
    ["--plan <plan>", "only those of one plan (its full id)"],
    ["-n, --limit <n>", "how many, at most 200 (default: 50)"],
    ["--cursor <cursor>", "continue after the previous page"],
  ],
  examples: ["fleet orders --status pending", "fleet orders --product shop --json | jq '.items[].reason'"],

  async run({ api, terminal, json, world }, _args, options) {
    const query = {
      status: asString(options["status"]),
      product: asString(options["product"]),
      intent: asString(options["intent"]),
      plan: asString(options["plan"]),
      limit: asNumber(options["limit"]),
      cursor: asString(options["cursor"]),
    };
    const page = await api.request("GET /api/fleet/orders", { query }, async () => {
      const [{ pageOf }, { OrderView }] = await Promise.all([
        import("../../views/page.ts"),
        import("../../views/orders/order.ts"),
      ]);
      return pageOf(OrderView);
    });
    if (json) {
      terminal.json(page);
      return;
    }
    const { orderLines } = await import("../print/run-lines.ts");
    if (page.items.length === 0) terminal.line("No orders. Plan some: fleet plan");
    else for (const line of orderLines(terminal, page.items, world.clock())) terminal.line(line);
    if (page.nextCursor !== null) terminal.note(terminal.paint("dim", `… more: --cursor ${page.nextCursor}`));
    if (page.items.some(({ status, requestedAt }) => status === "pending" && requestedAt === null)) {
      terminal.line(terminal.paint("dim", "  Run them: fleet run"));
    }
  },
};

const addCommand: Command = {
  usage: "orders add <product> <intent>",
  summary: "create a work order by hand",
  options: [
    ["--input <name=value...>", "an input of the intent; may be repeated"],
    ["--max-actions <n>", "how many commands one attempt may start"],
    ["--max-seconds <n>", "total wall time of all its commands"],
    ["--max-output-bytes <n>", "total output of all its commands"],
    ["--priority <n>", "0 to 100; 100 runs first (default: 50)"],
    ["--stop-on <condition...>", "what stops the rest of its batch; may be repeated"],
    ["--run", "run it at once, and watch"],
    ["--no-wait", "with --run: do not wait for the result"],
  ],
  examples: [
    "fleet orders add shop test --run",
    "fleet orders add shop validate --max-seconds 60",
    "fleet orders add shop science_to_design --input dossier_id=caching",
  ],

  async run(shell, [product, intent], options) {
    const [{ parseInput }, { OrderRequest }, { AddedOrder, BatchView }] = await Promise.all([
      import("../../domain/errors.ts"),
      import("../../domain/orders/order.ts"),
      import("../../views/orders/order.ts"),
    ]);
    const { api, terminal, json } = shell;
    const request = parseInput(OrderRequest, { productId: product, intent, ...buildOrderRequest(options) });
    const order = await api.request("POST /api/fleet/orders", { body: request }, AddedOrder);
    if (options["run"]) {
      const params = { path: { order: order.id }, body: {} };
      const batch = await api.request("POST /api/fleet/orders/:order/run", params, BatchView);
      const { followBatch } = await import("./run.ts");
      return followBatch(shell, batch, { wait: options["wait"] !== false });
    }
    if (json) terminal.json(order);
    else {
      const known = order.repeated ? "  already existed, and was left unchanged" : "";
      terminal.line(
        `${terminal.paint("bold", order.shortId)}  ${terminal.sanitize(order.productId)} ${order.intent}${known}`,
      );
      terminal.line(terminal.paint("dim", `  Run it: fleet run --order ${order.shortId}`));
    }
    return 0;
  },
};

/** Options that were not given are left out, so that only the schema defines the defaults. */
function buildOrderRequest(options: CommandOptions): Record<string, unknown> {
  const budget = withoutUndefined({
    max_actions: asNumber(options["maxActions"]),
    max_seconds: asNumber(options["maxSeconds"]),
    max_output_bytes: asNumber(options["maxOutputBytes"]),
  });
  return withoutUndefined({
    inputs: parseInputs(options["input"]),
    budget,
    priority: asNumber(options["priority"]),
    stopConditions: options["stopOn"],
  });
}

function withoutUndefined(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

function parseInputs(typed: unknown): Record<string, string> | undefined {
  if (!Array.isArray(typed)) return undefined;
  return Object.fromEntries(
    typed.map((pair) => {
      const text = String(pair);
      const at = text.indexOf("=");
      return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}

/** The command that the bare word runs comes first. */
export const ordersCommands: readonly Command[] = [listCommand, addCommand];
