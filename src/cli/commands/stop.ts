/** fleet stop: stops a task and its agent. */
import { printTask, taskView } from "../print/print-task.ts";
import { asString, type Command } from "../command.ts";

export const stopCommand: Command = {
  usage: "stop <task>",
  summary: "stop a task and its agent",
  options: [["--reason <text>", "why; recorded in the audit log"]],
  examples: ["fleet stop 3f9a1c2b", 'fleet stop 3f9a1c2b --reason "no longer needed"'],

  async run(shell, [task = ""], { reason }) {
    const params = { path: { task }, body: { reason: asString(reason) } };
    await printTask(shell, shell.api.request("POST /api/fleet/tasks/:task/stop", params, taskView));
  },
};
