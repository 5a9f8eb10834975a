/** Snapshots save the work that exists only in a workspace: commits as a bundle, changes as a patch, new files as an archive. Each part is verified. */
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
  /** How many of its commits the forge does not have. */
  readonly unpushed: number;
  readonly untracked: readonly string[];
}

export interface Snapshot {
  readonly dir: string;
  /** The command with which a person restores the work, without Fleetwright. */
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

const MAX_FILES = 20_000;
const MAX_BYTES = 512 * 1_024 * 1_024;
const TIMEOUT_MS = 5 * 60_000;

/** Options for git to read an agent's files safely: with the mirror as repository and a separate index, nothing of the agent's configuration applies. */
function gitReadOptions(mirror: Mirror, workTree: string, indexFile: string) {
  return { gitDir: mirror.path, workTree, indexFile, cwd: workTree, timeoutMs: TIMEOUT_MS };
}

export interface UnsavedFiles {
  readonly changed: readonly string[];
  readonly untracked: readonly string[];
}

/** Lists the files that differ from `head`, and the untracked files that are not ignored. */
export async function findUnsaved(home: string, mirror: Mirror, path: string, head: string): Promise<UnsavedFiles> {
  return withTempIndex(home, async (index) => {
    const at = gitReadOptions(mirror, path, index);
    await git(["read-tree", head], at);
    const list = async (...args: string[]) => (await git(args, at)).split("\0").filter(Boolean);
    const changed = await list("diff", "--name-only", "-z", "--no-ext-diff", "--no-textconv");
    const untracked = await list("ls-files", "--others", "--exclude-standard", "-z");
    return { changed, untracked };
  });
}

/** Throws when something could not be saved or verified. Then nothing may be deleted. */
export async function takeSnapshot(request: SnapshotRequest): Promise<Snapshot> {
  return writeSnapshot(request, `${shortId(request.taskId)}-${request.attempt}`, async (draft) => ({
    bundle: request.unpushed > 0 && (await saveCommits(request, draft)),
    patch: await savePatch(request, draft),
    untracked: await saveUntracked(request, draft),
  }));
}

type BranchSnapshotRequest = Pick<SnapshotRequest, "home" | "mirror" | "taskId" | "branch" | "head">;

/** The commits of a branch whose working copy was already removed: those that no forge has. */
export async function takeBranchSnapshot(request: BranchSnapshotRequest): Promise<Snapshot> {
  return writeSnapshot({ ...request, attempt: 0 }, `${shortId(request.taskId)}-branch`, async (draft) => {
    await saveCommits(request, draft);
    return { bundle: true, patch: false, untracked: 0 };
  });
}

/** Writes a draft first, so that a snapshot under its own name is always whole. */
async function writeSnapshot(
  request: BranchSnapshotRequest & { readonly attempt: number },
  name: string,
  save: (draft: string) => Promise<SnapshotManifest["parts"]>,
): Promise<Snapshot> {
  const { home, mirror, taskId, attempt, branch, head } = request;
  const root = snapshotRoot(home);
  const draft = join(root, `.new-${shortId(taskId)}-${randomBytes(4).toString("hex")}`);
  await mkdir(draft, { recursive: true, mode: 0o700 });
  try {
    const parts = await save(draft);
    const dir = await findFreeName(join(root, name));
    const restoreCommand = restoreCommandFor(request, dir, parts);
    const manifest = { taskId, attempt, repositoryUrl: mirror.url, branch, head, parts, restoreCommand };
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

/** Creates a new working copy at `into` with everything that the snapshot contains. */
export async function restoreSnapshot(dir: string, into: string): Promise<void> {
  const manifest = await readManifest(dir);
  if (await stat(into).catch(() => undefined)) throw new FleetError("workspace-refused", `${into} already exists.`);
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

type CommitSource = Pick<SnapshotRequest, "mirror" | "taskId" | "branch" | "head">;

async function saveCommits(request: CommitSource, draft: string): Promise<true> {
  const file = join(draft, "commits.bundle");
  const ref = `refs/heads/${request.branch}`;
  const at = { gitDir: request.mirror.path, timeoutMs: TIMEOUT_MS };
  await git(["bundle", "create", "--quiet", file, ref, "--not", "--remotes=origin"], at);
  await git(["bundle", "verify", "--quiet", file], at);
  const heads = await git(["bundle", "list-heads", file], at);
  if (!heads.includes(`${request.head} ${ref}`))
    throw unverifiedError("the bundle does not contain the current head of the branch");
  return true;
}

async function savePatch(request: SnapshotRequest, draft: string): Promise<boolean> {
  const file = join(draft, "changes.patch");
  await withTempIndex(request.home, async (index) => {
    const at = gitReadOptions(request.mirror, request.path, index);
    await git(["read-tree", request.head], at);
    await git(["diff", "--binary", "--no-ext-diff", "--no-textconv", "--no-color", `--output=${file}`], at);
  });
  const { size } = await stat(file);
  if (size > MAX_BYTES) throw unverifiedError("the uncommitted changes are too large");
  if (size === 0) {
    await rm(file);
    return false;
  }
  await withTempIndex(request.home, async (index) => {
    const at = { gitDir: request.mirror.path, indexFile: index, timeoutMs: TIMEOUT_MS };
    await git(["read-tree", request.head], at);
    await git(["apply", "--cached", "--check", "--whitespace=nowarn", file], at);
  });
  return true;
}

/** Saves regular files and symbolic links, without following them. Any other kind of file is an error, because it could not be restored. */
async function saveUntracked(request: SnapshotRequest, draft: string): Promise<number> {
  if (request.untracked.length === 0) return 0;
  if (request.untracked.length > MAX_FILES)
    throw unverifiedError(`${request.untracked.length} untracked files are too many`);
  let bytes = 0;
  for (const name of request.untracked) {
    const file = await lstat(join(request.path, name));
    if (!file.isFile() && !file.isSymbolicLink()) throw unverifiedError(`${JSON.stringify(name)} is not a plain file`);
    bytes += file.size;
  }
  if (bytes > MAX_BYTES) throw unverifiedError("the untracked files are too large");
  const archive = join(draft, "untracked.tar");
  const list = request.untracked.map((name) => `./${name}\0`).join("");
  await tar(["--create", "--file", archive, "--no-recursion", "--null", "--files-from=-"], request.path, list);
  const names = (await tar(["--list", "--quoting-style=literal", "--null", "--file", archive], draft)).split(/[\0\n]/);
  if (names.filter(Boolean).length < request.untracked.length)
    throw unverifiedError("the archive does not contain every untracked file");
  return request.untracked.length;
}

async function tar(args: readonly string[], cwd: string, input?: string): Promise<string> {
  const env = { PATH: SYSTEM_PATH, LC_ALL: "C" };
  const result = await runCommand(["tar", ...args], {
    cwd,
    env,
    timeoutMs: TIMEOUT_MS,
    ...(input === undefined ? {} : { input }),
  });
  if (result.exitCode !== 0) throw unverifiedError(`tar: ${lastLines(result.stderr, 3)}`);
  return result.stdout;
}

async function withTempIndex<Value>(home: string, work: (index: string) => Promise<Value>): Promise<Value> {
  await mkdir(snapshotRoot(home), { recursive: true, mode: 0o700 });
  const index = join(snapshotRoot(home), `.index-${randomBytes(8).toString("hex")}`);
  try {
    return await work(index);
  } finally {
    await rm(index, { force: true });
  }
}

async function findFreeName(preferred: string): Promise<string> {
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? preferred : `${preferred}.${number}`;
    if (!(await stat(name).catch(() => undefined))) return name;
  }
}

function restoreCommandFor(request: CommitSource, dir: string, parts: z.infer<typeof Manifest>["parts"]): string {
  const into = `restored-${shortId(request.taskId)}`;
  const steps = [`git clone --no-checkout ${shellWord(request.mirror.url)} ${into}`, `cd ${into}`];
  if (parts.bundle) steps.push(`git fetch ${shellWord(join(dir, "commits.bundle"))} refs/heads/${request.branch}`);
  steps.push(`git checkout -B ${request.branch} ${request.head}`);
  if (parts.patch) steps.push(`git apply ${shellWord(join(dir, "changes.patch"))}`);
  if (parts.untracked > 0) steps.push(`tar -xf ${shellWord(join(dir, "untracked.tar"))}`);
  return steps.join(" && ");
}

function unverifiedError(why: string): FleetError {
  return new FleetError("not-verified", `The snapshot cannot be trusted: ${why}.`);
}
