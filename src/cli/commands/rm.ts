/** fleet rm: cleans up after a task that has ended. */
import type { Command } from "../command.ts";

const removedView = async () => (await import("../../views/task.ts")).Removed;

export const rmCommand: Command = {
  usage: "rm <task>",
  summary: "remove a task that has ended; unpushed work is saved first",
  options: [],
  examples: ["fleet rm 3f9a1c2b"],

  async run({ api, terminal, json }, [task = ""]) {
    const result = await api.request("DELETE /api/fleet/tasks/:task", { path: { task } }, removedView);
    if (json) {
      terminal.json(result);
      return;
    }
    terminal.line(`Removed: ${result.removed.map((what) => terminal.sanitize(what)).join(", ") || "nothing was left"}`);
    if (result.snapshot !== null) terminal.line(`Saved first: ${terminal.sanitize(result.snapshot)}`);
    if (result.restore !== null)
      terminal.line(terminal.paint("dim", `  Restore it: ${terminal.sanitize(result.restore)}`));
  },
};
