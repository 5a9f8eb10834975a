/** fleet merge: merges a task that is ready. */
import { taskLine } from "../print/print-task.ts";
import type { Command } from "../command.ts";

export const mergeCommand: Command = {
  usage: "merge <task>",
  summary: "merge the pull request of a task that is ready",
  options: [],
  examples: ["fleet merge 3f9a1c2b"],

  async run({ api, terminal, json }, [task = ""]) {
    const { MergedView } = await import("../../views/task.ts");
    const merged = await api.request("POST /api/fleet/tasks/:task/merge", { path: { task }, body: {} }, MergedView);
    if (json) return terminal.json(merged);
    terminal.line(taskLine(terminal, merged));
    if (merged.bringHome)
      terminal.line(`  ${terminal.paint("dim", "Update your copy:")} ${terminal.sanitize(merged.bringHome)}`);
  },
};
