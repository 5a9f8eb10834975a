/** The working copy of a task: created from the mirror, reused after a crash, and never outside its root. */
import { randomBytes } from "node:crypto";
import { lstat, mkdir, readFile, realpath, rename, rm, statfs, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { chownTree, type UnixUser } from "../../command/unix-user.ts";
import { codeOf, FleetError, SpawnError, messageOf } from "../../domain/errors.ts";
import { isBranchName } from "../../domain/task/branch.ts";
import { shortId } from "../../domain/task/task.ts";
import { git, isAncestor } from "../../git/git.ts";
import { missingBranchError, readRefs, type Mirror, type Mirrors } from "../../git/mirror.ts";
import { preservedRoot, trashRoot, workspaceRoot } from "../paths.ts";
import { fetchFromClone, branchHead } from "./branches.ts";
import { leasePorts } from "./ports.ts";
import { prepareUser } from "../users.ts";
import { readWorkspaceRecord, writeWorkspaceRecord, type WorkspaceRecord } from "./record.ts";

/** What the functions of this folder depend on. */
export interface AgentsContext {
  readonly home: string;
  readonly mirrors: Mirrors;
  /** With less free space than this, nothing new is started. */
  readonly minFreeMb: number;
}

export interface WorkspaceRequest {
  readonly taskId: string;
  readonly attempt: number;
  readonly repositoryUrl: string;
  readonly branch: string;
  readonly baseBranch: string;
  readonly kind: "worktree" | "clone";
  /** The Unix user the agent runs as. It then gets a separate repository without a link to the mirror. */
  readonly unixUser?: string | undefined;
  /** With false, an existing branch with commits of its own is refused. */
  readonly fromBranchIfExists?: boolean;
}

export interface Workspace {
  readonly path: string;
  readonly kind: "worktree" | "clone";
  /** The commit at which this attempt starts; its own commits come after it. */
  readonly startSha: string;
  readonly baseSha: string;
  readonly portBase: number;
  readonly reused: boolean;
}

const AGENT_CONFIG = "[user]\n\tname = Fleetwright agent\n\temail = agent@fleetwright.invalid\n";

/** Prepares the workspace. It is idempotent: after a crash at any point, the same call completes it. */
export async function prepareWorkspace(context: AgentsContext, request: WorkspaceRequest): Promise<Workspace> {
  try {
    await assertFreeSpace(context);
    assertBranch(request);
    const user = request.unixUser === undefined ? undefined : await prepareUser(context.home, request.unixUser);
    return await findOrCreate(context, user ? { ...request, kind: "clone" } : request, user);
  } catch (error) {
    if (error instanceof SpawnError) throw error;
    const why = messageOf(error);
    throw new SpawnError("WORKSPACE_FAILED", "workspace", `The working copy could not be created: ${why}`, error);
  }
}

/** The administrative folder of a worktree inside the mirror. */
export function worktreeDir(mirror: Mirror, taskId: string): string {
  return join(mirror.path, "worktrees", shortId(taskId));
}

/** Creates the root folder of all workspaces, and returns it with every symbolic link resolved. */
export async function openWorkspaceRoot(home: string): Promise<string> {
  const root = workspaceRoot(home);
  await mkdir(root, { recursive: true, mode: 0o700 });
  return realpath(root);
}

/** Moves the complete workspace aside for a person to inspect. Commits on a detached HEAD get a ref, so that git keeps them. */
export async function preserveWorkspace(
  context: AgentsContext,
  mirror: Mirror,
  taskId: string,
  path: string,
): Promise<string> {
  const name = `${shortId(taskId)}-${randomBytes(3).toString("hex")}`;
  await mkdir(preservedRoot(context.home), { recursive: true, mode: 0o700 });
  const preserved = join(preservedRoot(context.home), name);
  const head = await readFile(join(worktreeDir(mirror, taskId), "HEAD"), "utf8").catch(() => "");
  if (/^[0-9a-f]{40,64}\n$/.test(head)) {
    await git(["update-ref", `refs/fleet/kept/${name}`, head.trim()], { gitDir: mirror.path });
  }
  await rename(path, preserved);
  await deregisterWorktree(context, mirror, taskId);
  return preserved;
}

/**
 * Moves the mirror's administrative folder of a worktree into the trash. `git worktree prune` would check all worktrees under
 * the mirror's lock, and with a thousand tasks every start and clean-up would wait for it.
 */
export async function deregisterWorktree(context: AgentsContext, mirror: Mirror, taskId: string): Promise<void> {
  await mkdir(trashRoot(context.home), { recursive: true, mode: 0o700 });
  const trash = join(trashRoot(context.home), `admin-${shortId(taskId)}-${randomBytes(4).toString("hex")}`);
  await rename(worktreeDir(mirror, taskId), trash).catch((error: unknown) => {
    if (codeOf(error) !== "ENOENT") throw error;
  });
}

async function assertFreeSpace(context: AgentsContext): Promise<void> {
  await mkdir(context.home, { recursive: true, mode: 0o700 });
  const disk = await statfs(context.home);
  const freeMb = Math.floor((disk.bavail * disk.bsize) / 1_048_576);
  if (freeMb >= context.minFreeMb) return;
  throw new SpawnError(
    "DISK_FULL",
    "workspace",
    `Only ${freeMb} MB are free at ${context.home}, and ${context.minFreeMb} MB are needed.`,
  );
}

function assertBranch({ branch, baseBranch }: WorkspaceRequest): void {
  if (!isBranchName(branch))
    throw new FleetError("workspace-refused", `${JSON.stringify(branch)} is not a branch name.`);
  if (branch === baseBranch) {
    throw new FleetError("workspace-refused", `The agent's branch must differ from the base branch ${baseBranch}.`);
  }
}

async function findOrCreate(
  context: AgentsContext,
  request: WorkspaceRequest,
  user: UnixUser | undefined,
): Promise<Workspace> {
  const path = join(await openWorkspaceRoot(context.home), shortId(request.taskId));
  const mirror = await context.mirrors.fetch(request.repositoryUrl);
  const refs = await readBranchHeads(mirror, request);
  const record = await readWorkspaceRecord(context.home, request.taskId);
  const intact = await findIntactOrClear(context, { mirror, request, path, record });
  if (intact) return reuseWorkspace(context, { mirror, request, path, record: intact });

  const startSha = await chooseStartSha(mirror, request, refs);
  if (request.kind === "worktree") await addWorktree(context, mirror, request, { path, startSha, isNew: !refs.own });
  else await addClone(mirror, request, path, startSha);
  if (user) await chownTree(user, path);
  const portBase = await leasePorts(context.home, shortId(request.taskId));
  const { taskId, attempt, branch, baseBranch, kind } = request;
  const created = { path, kind, startSha, baseSha: refs.base, portBase };
  const owner = user ? { unixUser: user } : {};
  const identity = { taskId, attempt, branch, baseBranch, repositoryUrl: mirror.url, ...owner };
  await writeWorkspaceRecord(context.home, { ...created, ...identity });
  return { ...created, reused: false };
}

interface WorkspaceCandidate {
  readonly mirror: Mirror;
  readonly request: WorkspaceRequest;
  readonly path: string;
  readonly record: WorkspaceRecord | undefined;
}

/** Returns the record of an intact workspace at the path. Anything else at the path is moved away. */
async function findIntactOrClear(
  context: AgentsContext,
  { mirror, request, path, record }: WorkspaceCandidate,
): Promise<WorkspaceRecord | undefined> {
  const stats = await lstat(path).catch(() => undefined);
  if (!stats) return undefined;
  if (record && stats.isDirectory() && (await isIntact(mirror, request, path, record))) return record;
  if (record) {
    await preserveWorkspace(context, mirror, request.taskId, path);
    return undefined;
  }
  // Without a record a crash interrupted its creation, so no agent ever ran in it.
  await mkdir(trashRoot(context.home), { recursive: true, mode: 0o700 });
  const trash = join(trashRoot(context.home), `${basename(path)}-${randomBytes(3).toString("hex")}`);
  await rename(path, trash);
  await rm(trash, { recursive: true, force: true });
  return undefined;
}

/** Reads git's files as plain text, because git itself would already trust their content. */
async function isIntact(
  mirror: Mirror,
  request: WorkspaceRequest,
  path: string,
  record: WorkspaceRecord,
): Promise<boolean> {
  if (!matchesRequest(record, mirror, request)) return false;
  const dotGit = await lstat(join(path, ".git")).catch(() => undefined);
  const onBranch = async (dir: string) =>
    (await readFile(join(dir, "HEAD"), "utf8").catch(() => "")) === `ref: refs/heads/${request.branch}\n`;
  if (request.kind === "clone") return dotGit?.isDirectory() === true && (await onBranch(join(path, ".git")));
  if (!dotGit?.isFile()) return false;
  const admin = worktreeDir(mirror, request.taskId);
  const named = /^gitdir: (.+)\n$/.exec(await readFile(join(path, ".git"), "utf8"))?.[1];
  if (named === undefined || !(await onBranch(admin))) return false;
  return (await realpath(named).catch(() => named)) === (await realpath(admin).catch(() => undefined));
}

function matchesRequest(record: WorkspaceRecord, mirror: Mirror, request: WorkspaceRequest): boolean {
  const { kind, branch, repositoryUrl, unixUser } = record;
  return (
    kind === request.kind &&
    branch === request.branch &&
    repositoryUrl === mirror.url &&
    unixUser?.name === request.unixUser
  );
}

async function reuseWorkspace(
  context: AgentsContext,
  found: WorkspaceCandidate & { readonly record: WorkspaceRecord },
): Promise<Workspace> {
  const { mirror, request, path, record } = found;
  const admin = request.kind === "worktree" ? worktreeDir(mirror, request.taskId) : join(path, ".git");
  // A git process of the last attempt that was killed leaves this lock behind; nothing else is using it now.
  await rm(join(admin, "index.lock"), { force: true });
  if (request.kind === "clone") await fetchFromClone(mirror, { path, user: record.unixUser }, request.branch);
  const head = await branchHead(mirror, request.branch);
  const startSha = record.attempt === request.attempt ? record.startSha : (head ?? record.startSha);
  const next: WorkspaceRecord = { ...record, attempt: request.attempt, startSha };
  if (record.attempt !== request.attempt) await writeWorkspaceRecord(context.home, next);
  const { kind, baseSha, portBase } = next;
  return { path, kind, startSha, baseSha, portBase, reused: true };
}

interface BranchHeads {
  readonly base: string;
  /** The head of the branch in the mirror, where an earlier attempt left it. */
  readonly own: string | undefined;
  readonly pushed: string | undefined;
}

async function readBranchHeads(mirror: Mirror, { branch, baseBranch }: WorkspaceRequest): Promise<BranchHeads> {
  const names = [`refs/remotes/origin/${baseBranch}`, `refs/heads/${branch}`, `refs/remotes/origin/${branch}`];
  const refs = await readRefs(mirror, names);
  const [base, own, pushed] = names.map((name) => refs.get(name));
  if (base === undefined) throw await missingBranchError(mirror, baseBranch);
  return { base, own, pushed };
}

/** Continues from an existing branch. If mirror and forge differ, the mirror's head is used unless the forge's contains it. */
async function chooseStartSha(mirror: Mirror, request: WorkspaceRequest, refs: BranchHeads): Promise<string> {
  const existing = refs.own ?? refs.pushed;
  if (existing === undefined) return refs.base;
  if (request.fromBranchIfExists === false && !(await isAncestor(mirror.path, existing, refs.base))) {
    throw new FleetError(
      "workspace-refused",
      `The branch ${request.branch} already exists and has commits of its own.`,
    );
  }
  if (!refs.own || !refs.pushed || refs.own === refs.pushed) return existing;
  return (await isAncestor(mirror.path, refs.own, refs.pushed)) ? refs.pushed : refs.own;
}

/** Only the registration takes the lock (of 16 concurrent ones without it, 6 % failed); the slow checkout does not. */
async function addWorktree(
  context: AgentsContext,
  mirror: Mirror,
  request: WorkspaceRequest,
  { path, startSha, isNew }: { path: string; startSha: string; isNew: boolean },
): Promise<void> {
  const admin = worktreeDir(mirror, request.taskId);
  const flags = ["worktree", "add", "--quiet", "--no-checkout"];
  await context.mirrors.runExclusive(mirror, async () => {
    if (await lstat(admin).catch(() => undefined)) {
      await git(["worktree", "prune", "--expire=now"], { gitDir: mirror.path });
    }
    const what = isNew ? ["-b", request.branch, path, startSha] : [path, request.branch];
    await git([...flags, ...what], { gitDir: mirror.path });
  });
  await writeFile(join(admin, "config.worktree"), AGENT_CONFIG, { mode: 0o600 });
  await git(["reset", "--quiet", "--hard", startSha], { gitDir: admin, workTree: path, cwd: path, timeoutMs: 300_000 });
}

/** Creates a separate repository without a link to the mirror: the objects are copied, so that it needs nothing outside its folder. */
async function addClone(mirror: Mirror, request: WorkspaceRequest, path: string, startSha: string): Promise<void> {
  const base = `refs/remotes/origin/${request.baseBranch}`;
  const refspecs = [`+${base}:${base}`, `+${startSha}:refs/heads/${request.branch}`];
  await git(["init", "--quiet", "--template=", "-b", request.branch, path], { cwd: dirname(path) });
  const origin = `[remote "origin"]\n\turl = ${JSON.stringify(mirror.url)}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n`;
  await writeFile(join(path, ".git", "config"), `${AGENT_CONFIG}[core]\n\trepositoryformatversion = 0\n${origin}`);
  const fetch = [
    "fetch",
    "--quiet",
    "--no-tags",
    "--update-head-ok",
    "--no-write-fetch-head",
    mirror.path,
    ...refspecs,
  ];
  await git(fetch, { cwd: path, allowProtocol: "file", timeoutMs: 300_000 });
  await git(["reset", "--quiet", "--hard", startSha], { cwd: path, timeoutMs: 300_000 });
}
