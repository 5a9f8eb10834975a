/** Looking into a repository at one commit: through git's objects, without a working copy, within bounds. Changes nothing. */
import { git, OBJECT_NAME, tryGit } from "../git/git.ts";

export interface CommitRef {
  /** The forge's repository, which is trusted. */
  readonly gitDir: string;
  readonly commitSha: string;
}

export interface FileEntry {
  readonly path: string;
  /** git's hash of the content. */
  readonly hash: string;
  readonly sizeBytes: number;
}

const LISTING_BYTES = 8 * 1_024 * 1_024;

/** Lists the regular files of a folder (with `deep` also of its subfolders), by default of the root. Symbolic links are left out. */
export async function listFiles(
  commit: CommitRef,
  { folder, deep }: { folder?: string; deep?: true } = {},
): Promise<FileEntry[]> {
  assertSha(commit.commitSha);
  const args = [
    "ls-tree",
    "-z",
    "-l",
    ...(deep ? ["-r"] : []),
    commit.commitSha,
    "--",
    ...(folder ? [`${folder}/`] : []),
  ];
  const out = await git(args, { gitDir: commit.gitDir, maxOutputBytes: LISTING_BYTES });
  return out.split("\0").flatMap((line) => parseEntry(line));
}

/** Parses a line of the form `100644 blob <hash> <size>\t<path>`. */
function parseEntry(line: string): FileEntry[] {
  const tab = line.indexOf("\t");
  const [mode = "", type = "", hash = "", size = ""] = line.slice(0, Math.max(0, tab)).split(/ +/);
  if (type !== "blob" || !mode.startsWith("100")) return [];
  return [{ path: line.slice(tab + 1), hash, sizeBytes: Number(size) }];
}

/** Returns the file's text; undefined when it is larger than `maxBytes`. Invalid UTF-8 becomes replacement characters. */
export async function readText(
  commit: CommitRef,
  { hash, sizeBytes }: FileEntry,
  maxBytes: number,
): Promise<string | undefined> {
  if (sizeBytes > maxBytes) return undefined;
  assertSha(hash);
  // The limit is doubled because half of it is reserved for the head of the output and half for the tail.
  return git(["cat-file", "blob", hash], { gitDir: commit.gitDir, maxOutputBytes: 2 * maxBytes });
}

/** Returns the date of the newest commit that changed each file. Files that the last `commits` did not change are missing. */
export async function lastChanges(commit: CommitRef, folder: string, commits = 1_000): Promise<Map<string, Date>> {
  assertSha(commit.commitSha);
  const args = [
    "log",
    "-z",
    "--name-only",
    "--no-renames",
    "--format=%x01%ct",
    `-n${commits}`,
    commit.commitSha,
    "--",
    folder,
  ];
  const { exitCode, stdout } = await tryGit(args, { gitDir: commit.gitDir, maxOutputBytes: LISTING_BYTES });
  const changes = new Map<string, Date>();
  if (exitCode !== 0) return changes;
  let at = new Date(Number.NaN);
  for (const part of stdout
    .split("\0")
    .flatMap((piece) => piece.split("\n"))
    .filter(Boolean)) {
    if (part.startsWith("\u0001")) at = new Date(Number(part.slice(1)) * 1_000);
    else if (!changes.has(part) && !Number.isNaN(at.getTime())) changes.set(part, at);
  }
  return changes;
}

/** Only a hash may be passed to git as a revision, because other text could be read as an option. */
function assertSha(sha: string): void {
  if (!OBJECT_NAME.test(sha)) throw new Error(`${JSON.stringify(sha)} is not an object name.`);
}
