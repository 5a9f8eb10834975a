/** fleet merge: merge what is ready. */
import { act } from "../act.ts";
import type { Command } from "../command.ts";

export const mergeCommand: Command = {
  usage: "merge <task>",
  summary: "merge the pull request of a task that is ready",
  options: [],
  examples: ["fleet merge 3f9a1c2b"],

  run: (shell, [task]) => act(shell, { verb: "merge", task, body: {} }),
};
