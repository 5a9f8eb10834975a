/** fleet snapshots: what was saved on this machine before its working copy went, and having it back. */
import type { SavedWork } from "../../agents/cleanup/snapshots.ts";
import type { Command, Shell } from "../command.ts";
import { tableOf, type Column } from "../print/table.ts";
import { ago, plural, sizeOf } from "../print/format.ts";

const listCommand: Command = {
  usage: "snapshots",
  summary: "what was saved on this machine before its working copy was removed",
  options: [],
  examples: ["fleet snapshots", "fleet snapshots --json | jq -r '.[].restoreCommand'"],

  async run(shell) {
    const { listSnapshots } = await import("../../agents/cleanup/snapshots.ts");
    const found = await listSnapshots(await homeOf());
    if (shell.json) shell.terminal.json(found);
    else for (const line of linesOf(shell, found)) shell.terminal.line(line);
  },
};

const restoreCommand: Command = {
  usage: "snapshots restore <name> <dir>",
  summary: "make a new working copy with everything a snapshot holds",
  options: [],
  examples: ["fleet snapshots restore 3f9a1c2b-0 ./back"],

  async run({ world, terminal, json }, [name = "", dir = ""]) {
    const [path, { restoreNamed }] = await Promise.all([
      import("node:path"),
      import("../../agents/cleanup/snapshots.ts"),
    ]);
    const into = path.resolve(world.cwd, dir);
    const saved = await restoreNamed(await homeOf(), name, into);
    if (json) {
      terminal.json({ ...saved, into });
      return;
    }
    terminal.line(
      `${terminal.mark(true)} ${terminal.shown(saved.name)} is back in ${terminal.shown(into)}: ${holdsOf(saved)}.`,
    );
    terminal.line(
      terminal.paint("dim", `  On branch ${terminal.shown(saved.branch)}. Look: git -C ${terminal.shown(into)} status`),
    );
  },
};

export const snapshotsCommands: readonly Command[] = [listCommand, restoreCommand];

async function homeOf(): Promise<string> {
  const { processConfig } = await import("../../processes/env.ts");
  return processConfig().FLEET_HOME;
}

function linesOf({ terminal, world }: Shell, found: readonly SavedWork[]): string[] {
  if (found.length === 0) return ["No snapshots: no work was ever removed that was not elsewhere too."];
  const { paint, shown } = terminal;
  const columns: Column<SavedWork>[] = [
    { head: "NAME", drop: 0, cell: ({ name }) => paint("bold", shown(name)) },
    { head: "TAKEN", drop: 1, cell: ({ takenAt }) => ago(takenAt, world.clock()) },
    { head: "BRANCH", drop: 0, shrinkTo: 16, cell: ({ branch }) => shown(branch) },
    { head: "HOLDS", drop: 0, cell: holdsOf },
    { head: "SIZE", drop: 3, align: "right", cell: ({ bytes }) => sizeOf(bytes) },
    { head: "REPOSITORY", drop: 2, shrinkTo: 16, cell: ({ repositoryUrl }) => shown(repositoryUrl) },
  ];
  const last = paint("dim", `${plural(found.length, "snapshot")}. Have one back: fleet snapshots restore <name> <dir>`);
  return [...tableOf(terminal, columns, found), "", last];
}

function holdsOf({ commits, changes, untracked }: SavedWork): string {
  const parts = [
    commits ? "commits" : "",
    changes ? "changes" : "",
    untracked > 0 ? plural(untracked, "new file") : "",
  ];
  return parts.filter(Boolean).join(", ") || "nothing";
}
