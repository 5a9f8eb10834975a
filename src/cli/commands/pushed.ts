/** fleet pushed: how a git hook says that something was pushed. */
import { textOf, type Command } from "../command.ts";
import { tellRun } from "./schedules.ts";

const runView = async () => (await import("../../views/orders/schedule.ts")).ScheduleRunView;

export const pushedCommand: Command = {
  usage: "pushed <product>",
  summary: "say that something was pushed: a schedule that waits for pushes runs",
  options: [["--sha <commit>", "what was pushed; kept in the audit"]],
  examples: ["fleet pushed shop", 'fleet pushed shop --sha "$(git rev-parse HEAD)"'],

  async run(shell, [product = ""], { sha }) {
    const asked = { path: { product }, body: { sha: textOf(sha) } };
    tellRun(shell, await shell.api.ask("POST /api/fleet/products/{product}/pushed", asked, runView));
  },
};
