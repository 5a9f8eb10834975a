/** fleet retry: try a failed or rejected task again, now. */
import { act, taskView } from "../print/print-task.ts";
import { textOf, type Command } from "../command.ts";

export const retryCommand: Command = {
  usage: "retry <task>",
  summary: "try a failed or rejected task again, now",
  options: [["--reason <text>", "kept in the audit log"]],
  examples: ["fleet retry 3f9a1c2b", 'fleet retry 3f9a1c2b --reason "the registry is back"'],

  async run(shell, [task = ""], { reason }) {
    const asked = { path: { task }, body: { reason: textOf(reason) } };
    await act(shell, shell.api.ask("POST /api/fleet/tasks/{task}/retry", asked, taskView));
  },
};
