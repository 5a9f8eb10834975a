/** A working copy for one task: made from the mirror, found again after a crash, and never outside its root. */
import { randomBytes } from "node:crypto";
import { lstat, mkdir, readFile, realpath, rename, rm, statfs, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { FleetError, SpawnError } from "../domain/errors.ts";
import { isBranchName } from "../domain/branch.ts";
import { shortId } from "../domain/task.ts";
import { git } from "../git/git.ts";
import { missingBranch, readRefs, type Mirror, type Mirrors } from "../git/mirror.ts";
import { keptRoot, trashRoot, workspaceRoot } from "./places.ts";
import { absorbClone, branchHead, isAncestor } from "./branches.ts";
import { leasePorts } from "./ports.ts";
import { readWorkspaceRecord, writeWorkspaceRecord, type WorkspaceRecord } from "./workspace-record.ts";

/** What the functions of this folder need to reach. */
export interface Place {
  readonly home: string;
  readonly mirrors: Mirrors;
  /** Below this much free space nothing new is started. */
  readonly minFreeMb: number;
}

export interface WorkspaceRequest {
  readonly taskId: string;
  readonly attempt: number;
  readonly repositoryUrl: string;
  readonly branch: string;
  readonly baseBranch: string;
  readonly kind: "worktree" | "clone";
  /** False: a branch of that name with commits of its own is a refusal. */
  readonly fromBranchIfExists?: boolean;
}

export interface Workspace {
  readonly path: string;
  readonly kind: "worktree" | "clone";
  /** Where this attempt begins: its own commits come after it. */
  readonly startSha: string;
  readonly baseSha: string;
  readonly portBase: number;
  readonly reused: boolean;
}

const AGENT_CONFIG = "[user]\n\tname = Fleetwright agent\n\temail = agent@fleetwright.invalid\n";

/** Idempotent: after a crash at any point, the same call finishes what was begun. */
export async function prepareWorkspace(place: Place, ask: WorkspaceRequest): Promise<Workspace> {
  try {
    await assertFreeSpace(place);
    assertBranch(ask);
    return await findOrMake(place, ask);
  } catch (error) {
    if (error instanceof SpawnError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new SpawnError("WORKSPACE_FAILED", "workspace", `No working copy: ${why}`, error);
  }
}

/** The private part of a worktree inside the mirror. */
export function worktreeDir(mirror: Mirror, taskId: string): string {
  return join(mirror.path, "worktrees", shortId(taskId));
}

/** The folder in which all workspaces lie, with every symlink resolved. */
export async function openWorkspaceRoot(home: string): Promise<string> {
  const root = workspaceRoot(home);
  await mkdir(root, { recursive: true, mode: 0o700 });
  return realpath(root);
}

/** Moves it out of the way, still complete, for a human to look at. Commits that no branch holds get a ref. */
export async function setAside(place: Place, mirror: Mirror, taskId: string, path: string): Promise<string> {
  const name = `${shortId(taskId)}-${randomBytes(3).toString("hex")}`;
  await mkdir(keptRoot(place.home), { recursive: true, mode: 0o700 });
  const kept = join(keptRoot(place.home), name);
  if (ask.kind === "clone") await absorbClone(mirror, path, ask.branch);
  const head = await branchHead(mirror, ask.branch);
  const startSha = record.attempt === ask.attempt ? record.startSha : (head ?? record.startSha);
  const next: WorkspaceRecord = { ...record, attempt: ask.attempt, startSha };
  if (record.attempt !== ask.attempt) await writeWorkspaceRecord(place.home, next);
  const { kind, baseSha, portBase } = next;
  return { path, kind, startSha, baseSha, portBase, reused: true };
}

interface Branches {
  readonly base: string;
  /** The branch as an earlier attempt left it in the mirror. */
  readonly own: string | undefined;
  readonly pushed: string | undefined;
}

async function readBranches(mirror: Mirror, { branch, baseBranch }: WorkspaceRequest): Promise<Branches> {
  const names = [`refs/remotes/origin/${baseBranch}`, `refs/heads/${branch}`, `refs/remotes/origin/${branch}`];
  const refs = await readRefs(mirror, names);
  const [base, own, pushed] = names.map((name) => refs.get(name));
  if (base === undefined) throw await missingBranch(mirror, baseBranch);
  return { base, own, pushed };
}

/** What exists is gone on with; where the mirror and the forge differ, the mirror's unless the forge's contains it. */
async function chooseStart(mirror: Mirror, ask: WorkspaceRequest, refs: Branches): Promise<string> {
  const existing = refs.own ?? refs.pushed;
  if (existing === undefined) return refs.base;
  if (ask.fromBranchIfExists === false && !(await isAncestor(mirror, existing, refs.base))) {
    throw new FleetError("workspace-refused", `The branch ${ask.branch} exists already and has commits of its own.`);
  }
  if (!refs.own || !refs.pushed || refs.own === refs.pushed) return existing;
  return (await isAncestor(mirror, refs.own, refs.pushed)) ? refs.pushed : refs.own;
}

/** Only registering is exclusive (16 at once without a lock: 6 % fail); the checkout, which takes long, is not. */
async function addWorktree(
  place: Place,
  mirror: Mirror,
  ask: WorkspaceRequest,
  { path, startSha, isNew }: { path: string; startSha: string; isNew: boolean },
): Promise<void> {
  const admin = worktreeDir(mirror, ask.taskId);
  const flags = ["worktree", "add", "--quiet", "--no-checkout"];
  await place.mirrors.exclusively(mirror, async () => {
    if (await lstat(admin).catch(() => undefined)) {
      await git(["worktree", "prune", "--expire=now"], { gitDir: mirror.path });
    }
    const what = isNew ? ["-b", ask.branch, path, startSha] : [path, ask.branch];
    await git([...flags, ...what], { gitDir: mirror.path });
  });
  await writeFile(join(admin, "config.worktree"), AGENT_CONFIG, { mode: 0o600 });
  await git(["reset", "--quiet", "--hard", startSha], { gitDir: admin, workTree: path, cwd: path, timeoutMs: 300_000 });
}

/** Its own repository with no link to ours; objects are copied, so that nothing outside the folder is needed. */
async function addClone(mirror: Mirror, ask: WorkspaceRequest, path: string, startSha: string): Promise<void> {
  const base = `refs/remotes/origin/${ask.baseBranch}`;
  const refspecs = [`+${base}:${base}`, `+${startSha}:refs/heads/${ask.branch}`];
  await git(["init", "--quiet", "--template=", "-b", ask.branch, path], { cwd: dirname(path) });
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
