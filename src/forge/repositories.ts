/** The local forge's bare repositories, and how they follow the operator's: by fast-forward or not at all. */
import { chmod, mkdir, realpath, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { withLock } from "../command/file-lock.ts";
import { isBranchName } from "../domain/task/branch.ts";
import { FleetError } from "../domain/errors.ts";
import { createBareCopy } from "../git/bare-copy.ts";
import { REMOTE_PROTOCOLS, git, isAncestor, tryGit } from "../git/git.ts";
import { parseRepositoryAddress, repositoryFolder, repositorySlug } from "../git/repository-url.ts";
import type { ForgeRepository, RepositoryName } from "./forge.ts";

/** Of a large repository over a slow line; a local one takes milliseconds. */
const FETCH_TIMEOUT_MS = 600_000;
/** The operator's branches are fetched to here, next to ours, so that ahead, behind and diverged can be distinguished. */
const SOURCE_REFS = "refs/fleetwright/source/";
/** Agents' branches are created in the forge only: an operator's copy of one is not a newer state of it. */
const EXCLUDED_REFSPECS = ["^refs/heads/fleet", "^refs/heads/fleet/*"];

/** Refuses pushes to the operator's branches: agents push branches of their own, and Fleetwright merges them. */
const UPDATE_HOOK = `#!/bin/sh
# update <ref> <old> <new>
case "$1" in
  refs/heads/*) ;;
  *) echo "Fleetwright: only branches can be pushed here." >&2; exit 1 ;;
esac
if git rev-parse --quiet --verify "${SOURCE_REFS}\${1#refs/heads/}" >/dev/null; then
  echo "Fleetwright: \${1#refs/heads/} is the operator's branch. Push your own; it is merged after review." >&2
  exit 1
fi
exit 0
`;

export async function identifyRepository(given: string): Promise<RepositoryName> {
  const { kind } = parseRepositoryAddress(given);
  return kind === "path" ? identifyPath(given) : { repository: given, kind, slug: repositorySlug(given) };
}

async function identifyPath(given: string): Promise<RepositoryName> {
  const path = await realpath(given).catch(() => undefined);
  if (path === undefined) throw new FleetError("not-a-repository", `${given} does not exist on this machine.`);
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isFolder) throw new FleetError("not-a-repository", `${given} is not a directory.`);
  const result = await tryGit(["rev-parse", "--is-bare-repository", "--absolute-git-dir"], { cwd: path });
  const [isBare, gitDir] = result.stdout.split("\n");
  if (result.exitCode !== 0 || !gitDir) throw new FleetError("not-a-repository", `${given} is not a git repository.`);
  if (isBare === "true") return { repository: gitDir, kind: "bare", slug: repositorySlug(gitDir) };
  const top = await tryGit(["rev-parse", "--show-toplevel"], { cwd: path });
  if (top.exitCode !== 0) throw new FleetError("not-a-repository", `${given} lies inside a .git directory.`);
  const checkout = top.stdout.trimEnd();
  return { repository: checkout, kind: "checkout", slug: repositorySlug(checkout) };
}

/** A bare repository is used as it is; anything else through the forge's own bare copy, brought up to date. */
export async function openRepository(home: string, name: RepositoryName): Promise<ForgeRepository> {
  if (name.kind === "bare") {
    const head = await git(["symbolic-ref", "--short", "HEAD"], { gitDir: name.repository });
    return { ...name, gitDir: name.repository, url: name.repository, defaultBranch: head.trim(), diverged: [] };
  }
  const key = repositoryFolder(name.repository);
  const gitDir = join(home, "forge", `${key}.git`);
  const lock = { timeoutMs: FETCH_TIMEOUT_MS, code: "git-failed" } as const;
  return withLock(join(home, "forge", "locks", key), lock, async () => {
    const isNew = (await tryGit(["rev-parse", "--git-dir"], { gitDir, cwd: "/" })).exitCode !== 0;
    if (isNew) await createCopy(gitDir, name);
    else await fetchSource(gitDir, name);
    const diverged = await fastForwardBranches(gitDir);
    if (isNew) await setDefaultBranch(gitDir, name);
    const head = await git(["symbolic-ref", "--short", "HEAD"], { gitDir });
    return { ...name, gitDir, url: gitDir, defaultBranch: head.trim(), diverged };
  });
}

async function createCopy(gitDir: string, name: RepositoryName): Promise<void> {
  await createBareCopy(gitDir, async (draft) => {
    await chmod(draft, 0o700);
    await git(["config", "receive.fsckObjects", "true"], { gitDir: draft });
    await git(["config", "receive.denyDeletes", "true"], { gitDir: draft });
    const hook = join(draft, "hooks", "update");
    await mkdir(dirname(hook), { recursive: true });
    await writeFile(hook, UPDATE_HOOK);
    await chmod(hook, 0o755);
    await fetchSource(draft, name);
    // What is there now could not be opened by git.
    await rm(gitDir, { recursive: true, force: true });
  });
}

async function fetchSource(gitDir: string, { repository, kind }: RepositoryName): Promise<void> {
  const quiet = ["--quiet", "--no-tags", "--no-auto-maintenance", "--no-recurse-submodules", "--no-write-fetch-head"];
  const refspecs = [`+refs/heads/*:${SOURCE_REFS}*`, ...EXCLUDED_REFSPECS];
  const args = ["fetch", ...quiet, "--update-shallow", "--prune", "--end-of-options", repository, ...refspecs];
  const options = { gitDir, allowProtocol: kind === "url" ? REMOTE_PROTOCOLS : "file", timeoutMs: FETCH_TIMEOUT_MS };
  const fetched = await tryGit(args, options);
  if (fetched.exitCode === 0) return;
  const why = fetched.timedOut ? "it took too long" : fetched.stderr.trim().split("\n").at(-1);
  throw new FleetError("forge-unavailable", `${repository} cannot be fetched: ${why || "git gives no reason"}.`);
}

/** Moves our branches to the operator's where that is a fast-forward, and returns those that have diverged. */
async function fastForwardBranches(gitDir: string): Promise<string[]> {
  const format = "--format=%(refname) %(objectname)";
  const listed = await git(["for-each-ref", format, "refs/heads/", SOURCE_REFS], { gitDir });
  const refs = new Map(
    listed
      .split("\n")
      .filter(Boolean)
      .map((line) => splitOnce(line)),
  );
  const diverged: string[] = [];
  const updates: string[] = [];
  for (const [ref, theirs] of refs) {
    const branch = ref.startsWith(SOURCE_REFS) ? ref.slice(SOURCE_REFS.length) : undefined;
    if (branch === undefined) continue;
    const ours = refs.get(`refs/heads/${branch}`);
    if (ours === theirs) continue;
    if (ours === undefined || (await isAncestor(gitDir, ours, theirs))) {
      updates.push(`update refs/heads/${branch} ${theirs} ${ours ?? "0".repeat(40)}\n`);
    } else if (!(await isAncestor(gitDir, theirs, ours))) {
      diverged.push(branch);
    }
  }
  if (updates.length > 0) await git(["update-ref", "--stdin"], { gitDir, input: updates.join("") });
  return diverged;
}

/** The default branch of the source, else a customary name, else the branch that is checked out there. */
async function setDefaultBranch(gitDir: string, { repository, kind }: RepositoryName): Promise<void> {
  const listed = await git(["for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads/"], { gitDir });
  const heads = new Set(listed.split("\n").filter(Boolean));
  const candidates = kind === "url" ? await remoteHead(repository) : await checkoutHeads(repository);
  const branch = candidates.find((name) => heads.has(name)) ?? candidates.findLast((name) => isBranchName(name));
  if (branch !== undefined) await git(["symbolic-ref", "HEAD", `refs/heads/${branch}`], { gitDir });
}

async function checkoutHeads(repository: string): Promise<string[]> {
  const origin = await tryGit(["symbolic-ref", "--short", "refs/remotes/origin/HEAD"], { cwd: repository });
  const current = await tryGit(["symbolic-ref", "--short", "HEAD"], { cwd: repository });
  return [origin.stdout.trim().replace(/^origin\//, ""), "main", "master", current.stdout.trim()];
}

async function remoteHead(url: string): Promise<string[]> {
  const options = { allowProtocol: REMOTE_PROTOCOLS, timeoutMs: 60_000 };
  const output = await tryGit(["ls-remote", "--symref", "--end-of-options", url, "HEAD"], options);
  const head = /^ref: refs\/heads\/(\S+)\tHEAD$/m.exec(output.stdout)?.[1] ?? "";
  return [head, "main", "master", head];
}

function splitOnce(line: string): [string, string] {
  const at = line.lastIndexOf(" ");
  return [line.slice(0, at), line.slice(at + 1)];
}
