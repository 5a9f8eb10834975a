/** fleet stop: stop a task and its agent. */
import { act, taskView } from "../print/print-task.ts";
import { textOf, type Command } from "../command.ts";

export const stopCommand: Command = {
  usage: "stop <task>",
  summary: "stop a task and its agent",
  options: [["--reason <text>", "kept in the audit log"]],
  examples: ["fleet stop 3f9a1c2b", 'fleet stop 3f9a1c2b --reason "no longer needed"'],

  async run(shell, [task = ""], { reason }) {
    const asked = { path: { task }, body: { reason: textOf(reason) } };
    await act(shell, shell.api.ask("POST /api/fleet/tasks/{task}/stop", asked, taskView));
  },
};
