/** fleet pushed: a git hook reports a push with it. */
import { asString, type Command } from "../command.ts";
import { printScheduleRun } from "./schedules.ts";

const runView = async () => (await import("../../views/orders/schedule.ts")).ScheduleRunView;

export const pushedCommand: Command = {
  usage: "pushed <product>",
  summary: "report a push, which starts the product's schedule if its cadence is on_push",
  options: [["--sha <commit>", "the pushed commit; recorded in the audit log"]],
  examples: ["fleet pushed shop", 'fleet pushed shop --sha "$(git rev-parse HEAD)"'],

  async run(shell, [product = ""], { sha }) {
    const params = { path: { product }, body: { sha: asString(sha) } };
    printScheduleRun(shell, await shell.api.request("POST /api/fleet/products/:product/pushed", params, runView));
  },
};
