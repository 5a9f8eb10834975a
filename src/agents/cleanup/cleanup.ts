/** Removes workspaces: unsaved work is saved first, and in case of doubt the workspace is kept. Dry run and real run share one decision function. */
import { randomBytes } from "node:crypto";
import { lstat, mkdir, readdir, readFile, rename } from "node:fs/promises";
import { basename, join } from "node:path";
import { findMarked } from "../../command/process-tree.ts";
import { FleetError, messageOf } from "../../domain/errors.ts";
import { shortId } from "../../domain/task/task.ts";
import { git, isAncestor, tryGit } from "../../git/git.ts";
import { readRefs, type Mirror } from "../../git/mirror.ts";
import { fetchFromClone, branchHead } from "../workspace/branches.ts";
import { trashRoot } from "../paths.ts";
import { releasePorts } from "../workspace/ports.ts";
import { findUnsaved, takeSnapshot, type Snapshot, type UnsavedFiles } from "../workspace/snapshot.ts";
import { taskMarker } from "../attempt/stop.ts";
import { deleteTree, isMarkId } from "./trash.ts";
import { deregisterWorktree, openWorkspaceRoot, worktreeDir, type AgentsContext } from "../workspace/workspace.ts";
import { deleteWorkspaceRecord, readWorkspaceRecord, type WorkspaceRecord } from "../workspace/record.ts";

export interface CleanupFacts {
  readonly exists: boolean;
  readonly agentAlive: boolean;
  /** Why the workspace could not be read; null when it could. */
  readonly unreadable: string | null;
  /** How many commits the forge does not have. */
  readonly unpushed: number;
  readonly changed: number;
  readonly untracked: number;
  readonly merged: boolean;
  readonly onForge: boolean;
  readonly snapshot: "none" | "verified" | { readonly failed: string };
}

export type CleanupDecision =
  | { readonly do: "nothing"; readonly reason: string }
  | { readonly do: "keep"; readonly reason: string }
  | { readonly do: "snapshot"; readonly reason: string }
  | { readonly do: "remove"; readonly deleteBranch: boolean };

export interface CleanupResult {
  readonly decision: CleanupDecision;
  readonly facts: CleanupFacts;
  readonly snapshot: Snapshot | null;
  readonly removedPath: string | null;
  readonly deletedBranch: string | null;
}

export function decideCleanup(facts: CleanupFacts): CleanupDecision {
  if (!facts.exists) return { do: "nothing", reason: "there is no workspace" };
  if (facts.agentAlive) return { do: "keep", reason: "processes of its agent are still running" };
  if (facts.unreadable !== null) return { do: "keep", reason: `it cannot be read: ${facts.unreadable}` };
  const unsaved = describeUnsaved(facts);
  if (unsaved === null || facts.snapshot === "verified") {
    return { do: "remove", deleteBranch: facts.merged || facts.onForge };
  }
  if (facts.snapshot === "none") return { do: "snapshot", reason: unsaved };
  return { do: "keep", reason: `${unsaved}, and saving it failed: ${facts.snapshot.failed}` };
}

/** With `dryRun` it only inspects and decides. */
export async function removeWorkspace(
  context: AgentsContext,
  request: { readonly taskId: string; readonly attempt: number; readonly dryRun?: boolean },
): Promise<CleanupResult> {
  const record = await readWorkspaceRecord(context.home, request.taskId);
  if (!record) return { decision: decideCleanup(NO_WORKSPACE), facts: NO_WORKSPACE, ...NO_REMOVAL };

  const mirror = await context.mirrors
    .fetch(record.repositoryUrl)
    .catch(() => context.mirrors.ensure(record.repositoryUrl));
  const state = await inspectWorkspace(context, mirror, record);
  let facts = state.facts;
  let decision = decideCleanup(facts);
  if (request.dryRun) return { decision, facts, ...NO_REMOVAL };

  let snapshot: Snapshot | null = null;
  if (decision.do === "snapshot" && state.head !== null) {
    const { taskId, branch, path } = record;
    const snapshotRequest = {
      home: context.home,
      mirror,
      taskId,
      branch,
      path,
      head: state.head,
      attempt: request.attempt,
    };
    try {
      snapshot = await takeSnapshot({
        ...snapshotRequest,
        unpushed: facts.unpushed,
        untracked: state.unsaved.untracked,
      });
      facts = { ...facts, snapshot: "verified" };
    } catch (error) {
      facts = { ...facts, snapshot: { failed: messageOf(error) } };
    }
    decision = decideCleanup(facts);
  }
  if (decision.do === "nothing") await deregisterWorkspace(context, mirror, record);
  if (decision.do !== "remove") return { decision, facts, snapshot, removedPath: null, deletedBranch: null };
  await trashWorkspace(context, mirror, record);
  const deletedBranch =
    decision.deleteBranch && state.head !== null ? await deleteBranch(mirror, record.branch, state.head) : null;
  return { decision, facts, snapshot, removedPath: record.path, deletedBranch };
}

const NO_REMOVAL = { snapshot: null, removedPath: null, deletedBranch: null };
const NO_WORKSPACE: CleanupFacts = {
  exists: false,
  agentAlive: false,
  unreadable: null,
  unpushed: 0,
  changed: 0,
  untracked: 0,
  merged: false,
  onForge: false,
  snapshot: "none",
};

interface WorkspaceState {
  readonly facts: CleanupFacts;
  readonly head: string | null;
  readonly unsaved: UnsavedFiles;
}

async function inspectWorkspace(
  context: AgentsContext,
  mirror: Mirror,
  record: WorkspaceRecord,
): Promise<WorkspaceState> {
  const unsaved: UnsavedFiles = { changed: [], untracked: [] };
  const exists = (await lstat(record.path).catch(() => undefined)) !== undefined;
  const agentAlive = findMarked(taskMarker(record.taskId)).length > 0;
  const facts = { ...NO_WORKSPACE, exists, agentAlive };
  if (!exists || agentAlive) return { facts, head: null, unsaved };
  try {
    return await readWorkspaceState(context, mirror, record);
  } catch (error) {
    // A worker that was considered dead may have removed it in the meantime.
    if ((await lstat(record.path).catch(() => undefined)) === undefined)
      return { facts: NO_WORKSPACE, head: null, unsaved };
    const unreadable = messageOf(error);
    return { facts: { ...facts, unreadable }, head: null, unsaved };
  }
}

async function readWorkspaceState(
  context: AgentsContext,
  mirror: Mirror,
  record: WorkspaceRecord,
): Promise<WorkspaceState> {
  if (record.kind === "clone")
    await fetchFromClone(mirror, { path: record.path, user: record.unixUser }, record.branch);
  const head = await branchHead(mirror, record.branch);
  if (head === null) throw new FleetError("git-failed", `the branch ${record.branch} does not exist any more`);
  await assertOnBranch(mirror, record);
  const remote = [`refs/remotes/origin/${record.baseBranch}`, `refs/remotes/origin/${record.branch}`];
  const refs = await readRefs(mirror, remote);
  const [base, pushed] = remote.map((name) => refs.get(name));
  const unsaved = await findUnsaved(context.home, mirror, record.path, head);
  const facts: CleanupFacts = {
    ...NO_WORKSPACE,
    exists: true,
    unpushed: Number(await git(["rev-list", "--count", head, "--not", "--remotes=origin"], { gitDir: mirror.path })),
    changed: unsaved.changed.length,
    untracked: unsaved.untracked.length,
    merged: base !== undefined && (await isAncestor(mirror.path, head, base)),
    onForge: pushed !== undefined && (await isAncestor(mirror.path, head, pushed)),
  };
  return { facts, head, unsaved };
}

/** The snapshot covers only commits on the recorded branch. HEAD is read as text, because the agent's own repository is not trusted. */
async function assertOnBranch(mirror: Mirror, record: WorkspaceRecord): Promise<void> {
  const dir = record.kind === "clone" ? join(record.path, ".git") : worktreeDir(mirror, record.taskId);
  if ((await readFile(join(dir, "HEAD"), "latin1")) === `ref: refs/heads/${record.branch}\n`) return;
  throw new FleetError("not-verified", `its HEAD is not on ${record.branch}`);
}

/** Renames the workspace into the trash instead of deleting it in place, so that an agent cannot swap it for something else meanwhile. */
async function trashWorkspace(context: AgentsContext, mirror: Mirror, record: WorkspaceRecord): Promise<void> {
  const root = await openWorkspaceRoot(context.home);
  const path = join(root, shortId(record.taskId));
  if (path !== record.path) throw new FleetError("workspace-refused", `${record.path} is not below ${root}.`);
  await mkdir(trashRoot(context.home), { recursive: true, mode: 0o700 });
  const trash = join(trashRoot(context.home), `${basename(path)}-${randomBytes(4).toString("hex")}`);
  await rename(path, trash);
  await deregisterWorkspace(context, mirror, record);
}

/** Removes what belongs to a workspace. It also completes a removal that a crash interrupted after the rename. */
async function deregisterWorkspace(context: AgentsContext, mirror: Mirror, record: WorkspaceRecord): Promise<void> {
  if (record.kind === "worktree") await deregisterWorktree(context, mirror, record.taskId);
  await releasePorts(context.home, shortId(record.taskId));
  await deleteWorkspaceRecord(context.home, record.taskId);
  const root = trashRoot(context.home);
  // Items that gc quarantined stay until their grace period is over.
  for (const name of await readdir(root).catch(() => [])) if (!isMarkId(name)) await deleteTree(join(root, name));
}

/** Deletes the branch only if it has not moved since the decision. */
async function deleteBranch(mirror: Mirror, branch: string, head: string): Promise<string | null> {
  const result = await tryGit(["update-ref", "-d", `refs/heads/${branch}`, head], { gitDir: mirror.path });
  return result.exitCode === 0 ? branch : null;
}

function describeUnsaved({ unpushed, changed, untracked }: CleanupFacts): string | null {
  const parts = [
    [unpushed, "unpushed commits"],
    [changed, "changed files"],
    [untracked, "untracked files"],
  ] as const;
  const counts = parts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  return counts.length > 0 ? counts.join(", ") : null;
}
