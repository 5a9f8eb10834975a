/** fleet retry: retries a failed or rejected task now. */
import { printTask, taskView } from "../print/print-task.ts";
import { asString, type Command } from "../command.ts";

export const retryCommand: Command = {
  usage: "retry <task>",
  summary: "retry a failed or rejected task now",
  options: [["--reason <text>", "why; recorded in the audit log"]],
  examples: ["fleet retry 3f9a1c2b", 'fleet retry 3f9a1c2b --reason "the registry is back"'],

  async run(shell, [task = ""], { reason }) {
    const params = { path: { task }, body: { reason: asString(reason) } };
    await printTask(shell, shell.api.request("POST /api/fleet/tasks/:task/retry", params, taskView));
  },
};
