/** fleet gc: collects what is past retention, or lists it. */
import { asString, type Command } from "../command.ts";

export const gcCommand: Command = {
  usage: "gc",
  summary: "move what is past retention to quarantine, and show how to restore it",
  options: [
    ["--dry-run", "list what would be collected, and change nothing"],
    ["--product <product>", "only the runs of one product"],
  ],
  examples: ["fleet gc --dry-run", "fleet gc --product shop", "fleet gc --json | jq '.hosts[].gone[].restore'"],

  async run({ api, terminal, json }, _args, { dryRun, product }) {
    const body = { dryRun: dryRun === true, product: asString(product) };
    const view = await api.request(
      "POST /api/fleet/gc",
      { body },
      async () => (await import("../../views/gc.ts")).GcView,
    );
    if (json) terminal.json(view);
    else {
      const { gcLines } = await import("../print/gc-table.ts");
      for (const line of gcLines(terminal, view)) terminal.line(line);
    }
    return view.hosts.some(({ gone }) => gone.some(({ outcome }) => outcome === "failed")) ? 1 : 0;
  },
};
