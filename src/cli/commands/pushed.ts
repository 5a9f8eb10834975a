/** fleet pushed: how a git hook says that something was pushed. */
import { asString, type Command } from "../command.ts";
import { printScheduleRun } from "./schedules.ts";

const runView = async () => (await import("../../views/orders/schedule.ts")).ScheduleRunView;

export const pushedCommand: Command = {
  usage: "pushed <product>",
  summary: "say that something was pushed: a schedule that waits for pushes runs",
  options: [["--sha <commit>", "what was pushed; kept in the audit"]],
  examples: ["fleet pushed shop", 'fleet pushed shop --sha "$(git rev-parse HEAD)"'],

  async run(shell, [product = ""], { sha }) {
    const params = { path: { product }, body: { sha: asString(sha) } };
    printScheduleRun(shell, await shell.api.request("POST /api/fleet/products/:product/pushed", params, runView));
  },
};
