/** Saving what a workspace holds and nobody else has: commits as a bundle, changes as a patch, new files as an archive; read back. */
import { randomBytes } from "node:crypto";
import { lstat, mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { lastLines, runCommand } from "../../command/run.ts";
import { FleetError } from "../../domain/errors.ts";
import { shellWord } from "../../domain/text/shell-word.ts";
import { shortId } from "../../domain/task/task.ts";
import { git, REMOTE_PROTOCOLS, SYSTEM_PATH } from "../../git/git.ts";
import type { Mirror } from "../../git/mirror.ts";
import { snapshotRoot } from "../paths.ts";

export interface SnapshotRequest {
  readonly home: string;
  readonly mirror: Mirror;
  readonly taskId: string;
  readonly attempt: number;
  readonly branch: string;
  readonly path: string;
  /** The branch's head in the mirror. */
  readonly head: string;
  /** How many of its commits the forge has not. */
  readonly unpushed: number;
  readonly untracked: readonly string[];
}

export interface Snapshot {
  readonly dir: string;
  /** What a person types to have the work back, without Fleetwright. */
  readonly restoreCommand: string;
}

const Manifest = z.object({
  taskId: z.string(),
  attempt: z.int(),
  repositoryUrl: z.string(),
  branch: z.string(),
  head: z.string(),
  parts: z.object({ bundle: z.boolean(), patch: z.boolean(), untracked: z.int() }),
  restoreCommand: z.string(),
});

export type SnapshotManifest = z.infer<typeof Manifest>;

const MOST_FILES = 20_000;
const MOST_BYTES = 512 * 1_024 * 1_024;
const TIMEOUT_MS = 5 * 60_000;

/** A git that reads an agent's files: the mirror is the repository, the index is ours, attributes cannot name programs. */
function reader(mirror: Mirror, workTree: string, indexFile: string) {
  return { gitDir: mirror.path, workTree, indexFile, cwd: workTree, timeoutMs: TIMEOUT_MS };
}

export interface UnsavedFiles {
  readonly changed: readonly string[];
  readonly untracked: readonly string[];
}

/** Which files differ from `head`, and which are not known to git and not ignored. */
export async function findUnsaved(home: string, mirror: Mirror, path: string, head: string): Promise<UnsavedFiles> {
  return withIndex(home, async (index) => {
    const at = reader(mirror, path, index);
    await git(["read-tree", head], at);
    const list = async (...args: string[]) => (await git(args, at)).split("\0").filter(Boolean);
    const changed = await list("diff", "--name-only", "-z", "--no-ext-diff", "--no-textconv");
    const untracked = await list("ls-files", "--others", "--exclude-standard", "-z");
    return { changed, untracked };
  });
}

/** Throws when anything could not be saved, or does not read back: then nothing may be deleted. */
export async function takeSnapshot(ask: SnapshotRequest): Promise<Snapshot> {
  const root = snapshotRoot(ask.home);
  const draft = join(root, `.new-${shortId(ask.taskId)}-${randomBytes(4).toString("hex")}`);
  await mkdir(draft, { recursive: true, mode: 0o700 });
  try {
    const bundle = ask.unpushed > 0 && (await saveCommits(ask, draft));
    const patch = await savePatch(ask, draft);
    const untracked = await saveUntracked(ask, draft);
    const dir = await freeName(join(root, `${shortId(ask.taskId)}-${ask.attempt}`));
    const parts = { bundle, patch, untracked };
    const restoreCommand = restoreCommandFor(ask, dir, parts);
    const { taskId, attempt, branch, head } = ask;
    const manifest = { taskId, attempt, repositoryUrl: ask.mirror.url, branch, head, parts, restoreCommand };
    await writeFile(join(draft, "manifest.json"), JSON.stringify(manifest, null, 2), { mode: 0o600 });
    await rename(draft, dir);
    return { dir, restoreCommand };
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw error;
  }
}

/** The commits of a branch whose working copy is gone already: what no forge has of them. */
export async function takeBranchSnapshot(
  ask: Pick<SnapshotRequest, "home" | "mirror" | "taskId" | "branch" | "head">,
): Promise<Snapshot> {
  const { home, mirror, taskId, branch, head } = ask;
  const root = snapshotRoot(home);
  const draft = join(root, `.new-${shortId(taskId)}-${randomBytes(4).toString("hex")}`);
  await mkdir(draft, { recursive: true, mode: 0o700 });
  try {
    await saveCommits(ask, draft);
    const dir = await freeName(join(root, `${shortId(taskId)}-branch`));
    const parts = { bundle: true, patch: false, untracked: 0 };
    const restoreCommand = restoreCommandFor(ask, dir, parts);
    const manifest = { taskId, attempt: 0, repositoryUrl: mirror.url, branch, head, parts, restoreCommand };
    await writeFile(join(draft, "manifest.json"), JSON.stringify(manifest, null, 2), { mode: 0o600 });
    await rename(draft, dir);
    return { dir, restoreCommand };
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw error;
  }
}

export async function readManifest(dir: string): Promise<SnapshotManifest> {
  return Manifest.parse(JSON.parse(await readFile(join(dir, "manifest.json"), "utf8")));
}

/** Makes a new working copy at `into` with everything the snapshot holds. */
export async function restoreSnapshot(dir: string, into: string): Promise<void> {
  const manifest = await readManifest(dir);
  if (await stat(into).catch(() => undefined)) throw new FleetError("workspace-refused", `${into} exists already.`);
  const { branch, head, parts, repositoryUrl } = manifest;
  await git(["clone", "--quiet", "--no-checkout", "--template=", repositoryUrl, into], {
    allowProtocol: REMOTE_PROTOCOLS,
    timeoutMs: TIMEOUT_MS,
  });
  const at = { cwd: into, timeoutMs: TIMEOUT_MS, allowProtocol: "file" };
  if (parts.bundle) await git(["fetch", "--quiet", join(dir, "commits.bundle"), `refs/heads/${branch}`], at);
  await git(["checkout", "--quiet", "-B", branch, head], at);
  if (parts.patch) await git(["apply", "--whitespace=nowarn", join(dir, "changes.patch")], at);
  if (parts.untracked > 0) await tar(["--extract", "--keep-old-files", "--file", join(dir, "untracked.tar")], into);
}

type Commits = Pick<SnapshotRequest, "mirror" | "taskId" | "branch" | "head">;

async function saveCommits(ask: Commits, draft: string): Promise<true> {
  const file = join(draft, "commits.bundle");
  const ref = `refs/heads/${ask.branch}`;
  const at = { gitDir: ask.mirror.path, timeoutMs: TIMEOUT_MS };
  await git(["bundle", "create", "--quiet", file, ref, "--not", "--remotes=origin"], at);
  await git(["bundle", "verify", "--quiet", file], at);
  const heads = await git(["bundle", "list-heads", file], at);
  if (!heads.includes(`${ask.head} ${ref}`)) throw doubt("the bundle does not hold the branch as it is");
  return true;
}

async function savePatch(ask: SnapshotRequest, draft: string): Promise<boolean> {
  const file = join(draft, "changes.patch");
  await withIndex(ask.home, async (index) => {
    const at = reader(ask.mirror, ask.path, index);
    await git(["read-tree", ask.head], at);
    await git(["diff", "--binary", "--no-ext-diff", "--no-textconv", "--no-color", `--output=${file}`], at);
  });
  const { size } = await stat(file);
  if (size > MOST_BYTES) throw doubt("the uncommitted changes are too large");
  if (size === 0) {
    await rm(file);
    return false;
  }
  await withIndex(ask.home, async (index) => {
    const at = { gitDir: ask.mirror.path, indexFile: index, timeoutMs: TIMEOUT_MS };
    await git(["read-tree", ask.head], at);
    await git(["apply", "--cached", "--check", "--whitespace=nowarn", file], at);
  });
  return true;
}

/** Regular files and symlinks as such; nothing is followed, and what is neither is a doubt. */
async function saveUntracked(ask: SnapshotRequest, draft: string): Promise<number> {
  if (ask.untracked.length === 0) return 0;
  if (ask.untracked.length > MOST_FILES) throw doubt(`${ask.untracked.length} untracked files are too many`);
  let bytes = 0;
  for (const name of ask.untracked) {
    const file = await lstat(join(ask.path, name));
    if (!file.isFile() && !file.isSymbolicLink()) throw doubt(`${JSON.stringify(name)} is not a plain file`);
    bytes += file.size;
  }
  if (bytes > MOST_BYTES) throw doubt("the untracked files are too large");
  const archive = join(draft, "untracked.tar");
  const list = ask.untracked.map((name) => `./${name}\0`).join("");
  await tar(["--create", "--file", archive, "--no-recursion", "--null", "--files-from=-"], ask.path, list);
  const names = (await tar(["--list", "--quoting-style=literal", "--null", "--file", archive], draft)).split(/[\0\n]/);
  if (names.filter(Boolean).length < ask.untracked.length)
    throw doubt("the archive does not hold every untracked file");
  return ask.untracked.length;
}

async function tar(args: readonly string[], cwd: string, input?: string): Promise<string> {
  const env = { PATH: SYSTEM_PATH, LC_ALL: "C" };
  const result = await runCommand(["tar", ...args], {
    cwd,
    env,
    timeoutMs: TIMEOUT_MS,
    ...(input === undefined ? {} : { input }),
  });
  if (result.exitCode !== 0) throw doubt(`tar: ${lastLines(result.stderr, 3)}`);
  return result.stdout;
}

async function withIndex<Value>(home: string, work: (index: string) => Promise<Value>): Promise<Value> {
  await mkdir(snapshotRoot(home), { recursive: true, mode: 0o700 });
  const index = join(snapshotRoot(home), `.index-${randomBytes(8).toString("hex")}`);
  try {
    return await work(index);
  } finally {
    await rm(index, { force: true });
  }
}

async function freeName(wished: string): Promise<string> {
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? wished : `${wished}.${number}`;
    if (!(await stat(name).catch(() => undefined))) return name;
  }
}

function restoreCommandFor(ask: Commits, dir: string, parts: z.infer<typeof Manifest>["parts"]): string {
  const into = `restored-${shortId(ask.taskId)}`;
  const steps = [`git clone --no-checkout ${shellWord(ask.mirror.url)} ${into}`, `cd ${into}`];
  if (parts.bundle) steps.push(`git fetch ${shellWord(join(dir, "commits.bundle"))} refs/heads/${ask.branch}`);
  steps.push(`git checkout -B ${ask.branch} ${ask.head}`);
  if (parts.patch) steps.push(`git apply ${shellWord(join(dir, "changes.patch"))}`);
  if (parts.untracked > 0) steps.push(`tar -xf ${shellWord(join(dir, "untracked.tar"))}`);
  return steps.join(" && ");
}

function doubt(why: string): FleetError {
  return new FleetError("not-verified", `The snapshot cannot be trusted: ${why}.`);
}
