/** fleet snapshots: lists what was saved on this machine before a working copy was removed, and restores it. */
import type { SnapshotInfo } from "../../agents/cleanup/snapshots.ts";
import type { Command, Shell } from "../command.ts";
import { renderTable, type Column } from "../print/table.ts";
import { ago, plural, formatBytes } from "../print/format.ts";

const listCommand: Command = {
  usage: "snapshots",
  summary: "list the work that was saved on this machine before a working copy was removed",
  options: [],
  examples: ["fleet snapshots", "fleet snapshots --json | jq -r '.[].restoreCommand'"],

  async run(shell) {
    const { listSnapshots } = await import("../../agents/cleanup/snapshots.ts");
    const found = await listSnapshots(await readHome());
    if (shell.json) shell.terminal.json(found);
    else for (const line of snapshotLines(shell, found)) shell.terminal.line(line);
  },
};

const restoreCommand: Command = {
  usage: "snapshots restore <name> <dir>",
  summary: "create a working copy from everything in a snapshot",
  options: [],
  examples: ["fleet snapshots restore 3f9a1c2b-0 ./back"],

  async run({ world, terminal, json }, [name = "", dir = ""]) {
    const [path, { restoreSnapshotByName }] = await Promise.all([
      import("node:path"),
      import("../../agents/cleanup/snapshots.ts"),
    ]);
    const into = path.resolve(world.cwd, dir);
    const saved = await restoreSnapshotByName(await readHome(), name, into);
    if (json) {
      terminal.json({ ...saved, into });
      return;
    }
    terminal.line(
      `${terminal.mark(true)} ${terminal.sanitize(saved.name)} is restored in ${terminal.sanitize(into)}:  ${describeContents(saved)}.`,
    );
    terminal.line(
      terminal.paint(
        "dim",
        `  On branch ${terminal.sanitize(saved.branch)}. Check: git -C ${terminal.sanitize(into)} status`,
      ),
    );
  },
};

export const snapshotsCommands: readonly Command[] = [listCommand, restoreCommand];

async function readHome(): Promise<string> {
  const { processConfig } = await import("../../processes/env.ts");
  return processConfig().FLEET_HOME;
}

function snapshotLines({ terminal, world }: Shell, found: readonly SnapshotInfo[]): string[] {
  if (found.length === 0) return ["No snapshots: all removed work also exists elsewhere."];
  const { paint, sanitize } = terminal;
  const columns: Column<SnapshotInfo>[] = [
    { head: "NAME", drop: 0, cell: ({ name }) => paint("bold", sanitize(name)) },
    { head: "TAKEN", drop: 1, cell: ({ takenAt }) => ago(takenAt, world.clock()) },
    { head: "BRANCH", drop: 0, shrinkTo: 16, cell: ({ branch }) => sanitize(branch) },
    { head: "HOLDS", drop: 0, cell: describeContents },
    { head: "SIZE", drop: 3, align: "right", cell: ({ bytes }) => formatBytes(bytes) },
    { head: "REPOSITORY", drop: 2, shrinkTo: 16, cell: ({ repositoryUrl }) => sanitize(repositoryUrl) },
  ];
  const last = paint("dim", `${plural(found.length, "snapshot")}. Restore one: fleet snapshots restore <name> <dir>`);
  return [...renderTable(terminal, columns, found), "", last];
}

function describeContents({ commits, changes, untracked }: SnapshotInfo): string {
  const parts = [
    commits ? "commits" : "",
    changes ? "changes" : "",
    untracked > 0 ? plural(untracked, "new file") : "",
  ];
  return parts.filter(Boolean).join(", ") || "nothing";
}
