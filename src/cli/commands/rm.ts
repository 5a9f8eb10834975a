/** fleet rm: clean up after a task that is over. */
import type { Command } from "../command.ts";

const removedView = async () => (await import("../../views/task.ts")).Removed;

export const rmCommand: Command = {
  usage: "rm <task>",
  summary: "remove a task that is over; unpushed work is saved first",
  options: [],
  examples: ["fleet rm 3f9a1c2b"],

  async run({ api, terminal, json }, [task = ""]) {
    const gone = await api.ask("DELETE /api/fleet/tasks/{task}", { path: { task } }, removedView);
    if (json) {
      terminal.json(gone);
      return;
    }
    terminal.line(`Removed: ${gone.removed.map((what) => terminal.shown(what)).join(", ") || "nothing was left"}`);
    if (gone.snapshot !== null) terminal.line(`Saved first: ${terminal.shown(gone.snapshot)}`);
    if (gone.restore !== null) terminal.line(terminal.paint("dim", `  Bring it back: ${terminal.shown(gone.restore)}`));
  },
};
