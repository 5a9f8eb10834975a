/** fleet reject: sends a ready task back with a comment, which the next attempt receives. */
import { printTask, taskView } from "../print/print-task.ts";
import type { Command } from "../command.ts";

export const rejectCommand: Command = {
  usage: "reject <task> <comment>",
  summary: "send a ready task back with a comment",
  options: [],
  examples: ['fleet reject 3f9a1c2b "The export must stream; files of 2 GB are common"'],

  run: (shell, [task = "", comment = ""]) =>
    printTask(
      shell,
      shell.api.request("POST /api/fleet/tasks/:task/reject", { path: { task }, body: { comment } }, taskView),
    ),
};
