/** fleet runs: what was carried out, and how it went. */
import { asNumber, asString, type Command } from "../command.ts";

export const runsCommand: Command = {
  usage: "runs",
  summary: "runs of work orders, newest first",
  options: [
    ["--product <product>", "only this one's"],
    ["--status <status>", "in_progress, success, failed or cancelled"],
    ["--intent <intent>", "only this one"],
    ["-a, --all", "also those that gc has put aside"],
    ["-n, --limit <n>", "how many, at most 200 (default: 50)"],
    ["--cursor <cursor>", "go on after the page before"],
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
      terminal.line("Nothing was carried out yet. Do something: fleet run");
      return;
    }
    const { runLines } = await import("../print/run-lines.ts");
    for (const line of runLines(terminal, page.items, world.clock())) terminal.line(line);
    if (page.nextCursor !== null) terminal.note(terminal.paint("dim", `… more: --cursor ${page.nextCursor}`));
    terminal.line(terminal.paint("dim", `  Look at one: fleet run show ${page.items[0]?.shortId ?? ""}`));
  },
};
