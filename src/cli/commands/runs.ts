/** fleet runs: lists the runs of work orders and their results. */
import { asNumber, asString, type Command } from "../command.ts";

export const runsCommand: Command = {
  usage: "runs",
  summary: "list runs of work orders, newest first",
  options: [
    ["--product <product>", "only this product's"],
    ["--status <status>", "in_progress, success, failed or cancelled"],
    ["--intent <intent>", "only this intent"],
    ["-a, --all", "also runs that gc has collected"],
    ["-n, --limit <n>", "how many, at most 200 (default: 50)"],
    ["--cursor <cursor>", "continue after the previous page"],
  ],
  examples: ["fleet runs --product shop", "fleet runs --status failed --json | jq '.items[].message'"],

  async run({ api, terminal, json, world }, _args, options) {
    const query = {
      product: asString(options["product"]),
      status: asString(options["status"]),
      intent: asString(options["intent"]),
      collected: options["all"] === true,
      limit: asNumber(options["limit"]),
      cursor: asString(options["cursor"]),
    };
    const page = await api.request("GET /api/fleet/runs", { query }, async () => {
      const [{ pageOf }, { RunView }] = await Promise.all([
        import("../../views/page.ts"),
        import("../../views/orders/run.ts"),
      ]);
      return pageOf(RunView);
    });
    if (json) {
      terminal.json(page);
      return;
    }
    if (page.items.length === 0) {
      terminal.line("No runs yet. Run pending orders: fleet run");
      return;
    }
    const { runLines } = await import("../print/run-lines.ts");
    for (const line of runLines(terminal, page.items, world.clock())) terminal.line(line);
    if (page.nextCursor !== null) terminal.note(terminal.paint("dim", `… more: --cursor ${page.nextCursor}`));
    terminal.line(terminal.paint("dim", `  Show one: fleet run show ${page.items[0]?.shortId ?? ""}`));
  },
};
