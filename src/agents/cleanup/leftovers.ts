/** Scans this host for files that may no longer be needed. Whose they are is decided from the rows in the database. */
import { lstat, readdir, readFile, stat } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { codeOf } from "../../domain/errors.ts";
import type { GcKind } from "../../domain/gc/gc.ts";
import { git, isAncestor, tryGit } from "../../git/git.ts";
import type { Mirror } from "../../git/mirror.ts";
import { attemptRoot, snapshotRoot, workspaceRoot } from "../paths.ts";
import { serverName } from "../runtime/tmux-servers.ts";
import { readManifest } from "../workspace/snapshot.ts";
import type { AgentsContext } from "../workspace/workspace.ts";
import { listWorkspaceRecords } from "../workspace/record.ts";

export interface FoundWorkspace {
  /** The folder's name, which is the short id of its task. */
  readonly name: string;
  readonly path: string;
  /** The task in its record; null when its creation was never completed. */
  readonly taskId: string | null;
  readonly attempt: number;
  readonly changedAt: Date;
}

export interface FoundMirror {
  readonly name: string;
  readonly path: string;
  readonly url: string;
  readonly usedAt: Date;
  /** The agents' branches, each with its head commit. */
  readonly branches: readonly { readonly name: string; readonly head: string }[];
  /** The branches that a working copy has checked out. */
  readonly checkedOut: ReadonlySet<string>;
}

export interface FoundFolder {
  readonly name: string;
  readonly path: string;
  readonly changedAt: Date;
}

export interface Leftovers {
  readonly workspaces: readonly FoundWorkspace[];
  readonly mirrors: readonly FoundMirror[];
  readonly snapshots: readonly (FoundFolder & { readonly taskId: string | null })[];
  readonly sockets: readonly { readonly name: string; readonly path: string; readonly answers: boolean }[];
  /** Attempt folders, named by the id of their task. */
  readonly attempts: readonly FoundFolder[];
  /** Evidence folders, named by the id of their run. */
  readonly runs: readonly (FoundFolder & { readonly productId: string })[];
}

/** Returns the root folder of a kind of item. Branches have none, because they are refs in a mirror. */
export function gcRoot(home: string, kind: Exclude<GcKind, "branch">): string {
  const roots = {
    run: join(home, "runs"),
    workspace: workspaceRoot(home),
    snapshot: snapshotRoot(home),
    mirror: join(home, "mirrors"),
    socket: join(home, "tmux"),
    attempt: attemptRoot(home),
  };
  return roots[kind];
}

/** Scans everything. `socket` is the one in use, which is left out. */
export async function scanLeftovers({ home }: Pick<AgentsContext, "home">, socket: string): Promise<Leftovers> {
  const [workspaces, mirrors, snapshots, sockets, attempts, runs] = await Promise.all([
    findWorkspaces(home),
    findMirrors(home),
    findSnapshots(home),
    findSockets(home, socket),
    findFolders(attemptRoot(home)),
    findRuns(home),
  ]);
  return { workspaces, mirrors, snapshots, sockets, attempts, runs };
}

async function findRuns(home: string): Promise<(FoundFolder & { productId: string })[]> {
  const root = gcRoot(home, "run");
  const products = await findFolders(root);
  const found = await Promise.all(
    products.map(async (product) => {
      const folders = await findFolders(product.path);
      return folders.map(({ name, path, changedAt }) => ({ name, path, changedAt, productId: product.name }));
    }),
  );
  return found.flat();
}

/** Tells whether the commits of `head` exist elsewhere too. `base` is the base branch of its task, if the task is known. */
export async function checkReachability(
  mirror: Pick<Mirror, "path">,
  head: string,
  base: string | undefined,
): Promise<{ merged: boolean; onForge: boolean }> {
  const at = { gitDir: mirror.path };
  const missing = await git(["rev-list", "--count", "--max-count=1", head, "--not", "--remotes=origin"], at);
  const onForge = missing.trim() === "0";
  const target = `refs/remotes/origin/${base ?? "main"}`;
  const isKnown = (await tryGit(["rev-parse", "--verify", "--quiet", target], at)).exitCode === 0;
  const merged = isKnown && (await isAncestor(mirror.path, head, target));
  return { merged, onForge };
}

/** Deletes the branch only if it has not moved since the decision. */
export async function deleteBranchAt(mirrorPath: string, branch: string, head: string): Promise<boolean> {
  const ref = `refs/heads/${branch}`;
  return (await tryGit(["update-ref", "-d", ref, head], { gitDir: mirrorPath })).exitCode === 0;
}

async function findWorkspaces(home: string): Promise<FoundWorkspace[]> {
  const folders = await findFolders(workspaceRoot(home));
  const records = new Map((await listWorkspaceRecords(home)).map((record) => [record.path.split("/").at(-1), record]));
  return folders.map(({ name, path, changedAt }) => {
    const record = records.get(name);
    return { name, path, taskId: record?.taskId ?? null, attempt: record?.attempt ?? 0, changedAt };
  });
}

async function findMirrors(home: string): Promise<FoundMirror[]> {
  const folders = (await findFolders(gcRoot(home, "mirror"))).filter(({ name }) => name.endsWith(".git"));
  const clones = (await listWorkspaceRecords(home)).map(({ branch }) => branch);
  const found = await Promise.all(folders.map((folder) => readMirror(folder, clones)));
  return found.flatMap((mirror) => mirror ?? []);
}

async function readMirror({ name, path, changedAt }: FoundFolder, clones: string[]): Promise<FoundMirror | undefined> {
  const repository = { gitDir: path };
  const url = await tryGit(["config", "--get", "remote.origin.url"], repository);
  const refs = await tryGit(["for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads"], repository);
  if (url.exitCode !== 0 || refs.exitCode !== 0) return undefined; // It is incomplete, or being removed.
  const branches = refs.stdout.split("\n").flatMap((line) => {
    const [head = "", ...rest] = line.split(" ");
    return rest.length > 0 ? [{ name: rest.join(" "), head }] : [];
  });
  const checkedOut = new Set([...clones, ...(await readWorktreeBranches(path))]);
  const touched = await Promise.all([path, `${path}.fetch-lock`, `${path}.worktrees-lock`].map(readMtime));
  const usedAt = touched.reduce<Date>((last, at) => (at && at > last ? at : last), changedAt);
  return { name, path, url: url.stdout.trim(), usedAt, branches, checkedOut };
}

async function readWorktreeBranches(mirrorPath: string): Promise<string[]> {
  const names = await readdir(join(mirrorPath, "worktrees")).catch(() => []);
  const heads = await Promise.all(
    names.map((name) => readFile(join(mirrorPath, "worktrees", name, "HEAD"), "latin1").catch(() => "")),
  );
  return heads.flatMap((head) => /^ref: refs\/heads\/(.+)\n$/.exec(head)?.[1] ?? []);
}

export async function findSnapshots(home: string): Promise<(FoundFolder & { taskId: string | null })[]> {
  const folders = await findFolders(snapshotRoot(home));
  return Promise.all(
    folders.map(async ({ name, path, changedAt }) => {
      const manifest = await readManifest(path).catch(() => undefined);
      return { name, path, changedAt, taskId: manifest?.taskId ?? null };
    }),
  );
}

async function findSockets(home: string, inUse: string) {
  const root = gcRoot(home, "socket");
  const names = (await readdir(root).catch(() => [])).filter((name) => name.endsWith(".sock"));
  const others = names.filter((name) => join(root, name) !== inUse && !name.startsWith(serverName("")));
  return Promise.all(
    others.map(async (name) => ({ name, path: join(root, name), answers: await isListening(join(root, name)) })),
  );
}

/** Only a refused connection proves that no server is listening. */
function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const end = (alive: boolean) => {
      socket.destroy();
      resolve(alive);
    };
    socket.once("connect", () => end(true));
    socket.once("error", (error) => end(codeOf(error) !== "ECONNREFUSED"));
    socket.setTimeout(1_000, () => end(true));
  });
}

/** Lists folders, without links and without names that start with a dot, which are internal. */
async function findFolders(root: string): Promise<FoundFolder[]> {
  const names = (await readdir(root).catch(() => [])).filter((name) => !name.startsWith("."));
  const found = await Promise.all(
    names.map(async (name) => {
      const path = join(root, name);
      const stats = await lstat(path).catch(() => undefined);
      return stats?.isDirectory() ? { name, path, changedAt: stats.mtime } : undefined;
    }),
  );
  return found.flatMap((folder) => folder ?? []);
}

async function readMtime(path: string): Promise<Date | undefined> {
  return (await stat(path).catch(() => undefined))?.mtime;
}
