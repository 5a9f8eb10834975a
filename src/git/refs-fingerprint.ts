/** Detects whether a branch of a local repository has moved, from its files and without running git: polling is almost free. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, isAbsolute, join, resolve } from "node:path";

/** Equal fingerprints mean equal branches; undefined when the files do not show it (not a local repository, no access). */
export function refsFingerprint(repository: string): string | undefined {
  try {
    const gitDir = findCommonDir(repository);
    // git replaces packed-refs and the list of reftable by rename: the inode changes, whatever the clock does.
    const files = ["packed-refs", "reftable/tables.list"].map((name) => fileStamp(join(gitDir, name)));
    return [
      gitDir,
      readFileSync(join(gitDir, "HEAD"), "utf8"),
      ...files,
      ...looseRefs(join(gitDir, "refs", "heads")),
    ].join("\n");
  } catch {
    return undefined;
  }
}

/** The folder that holds the branches: a bare repository itself, the .git of a checkout, the main .git of a worktree. */
function findCommonDir(repository: string): string {
  const dotGit = join(repository, ".git");
  const stats = statSync(dotGit, { throwIfNoEntry: false });
  if (!stats) return repository;
  if (stats.isDirectory()) return dotGit;
  const named = /^gitdir: (?<path>.+)$/m.exec(readFileSync(dotGit, "utf8"))?.groups?.["path"] ?? "";
  const own = isAbsolute(named) ? named : resolve(dirname(dotGit), named);
  const common = statSync(join(own, "commondir"), { throwIfNoEntry: false });
  return common ? resolve(own, readFileSync(join(own, "commondir"), "utf8").trim()) : own;
}

function fileStamp(file: string): string {
  const { ino, size, mtimeNs } = statSync(file, { bigint: true, throwIfNoEntry: false }) ?? {};
  return `${ino ?? "-"} ${size ?? "-"} ${mtimeNs ?? "-"}`;
}

function looseRefs(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      return entry.isDirectory() ? looseRefs(path) : [`${path} ${readFileSync(path, "utf8").trim()}`];
    });
}
