/** fleet pushed: how a git hook says that something was pushed. */
import { textOf, type Command } from "../command.ts";
import { tellRun } from "./schedules.ts";

export const pushedCommand: Command = {
  usage: "pushed <product>",
  summary: "say that something was pushed: a schedule that waits for pushes runs",
  options: [["--sha <commit>", "what was pushed; kept in the audit"]],
  examples: ["fleet pushed shop", 'fleet pushed shop --sha "$(git rev-parse HEAD)"'],

  async run(shell, [product], { sha }) {
    const commit = textOf(sha);
    const path = `/api/fleet/products/${encodeURIComponent(product ?? "")}/pushed`;
    const body = commit === undefined ? {} : { sha: commit };
    tellRun(
      shell,
      await shell.api.post(path, body, async () => (await import("../../views/schedule.ts")).ScheduleRunView),
    );
  },
};
