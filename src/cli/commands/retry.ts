/** fleet retry: try a failed or rejected task again, now. */
import { act } from "../act.ts";
import { textOf, type Command } from "../command.ts";

export const retryCommand: Command = {
  usage: "retry <task>",
  summary: "try a failed or rejected task again, now",
  options: [["--reason <text>", "kept in the audit log"]],
  examples: ["fleet retry 3f9a1c2b", 'fleet retry 3f9a1c2b --reason "the registry is back"'],

  async run(shell, [task], { reason }) {
    const why = textOf(reason);
    await act(shell, { verb: "retry", task, body: why === undefined ? {} : { reason: why } });
  },
};
