/** Where the local forge keeps its bare repositories, and how they follow the operator's: fast-forward or not at all. */
import { createHash } from "node:crypto";
import { chmod, mkdir, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, isAbsolute, join } from "node:path";
import { withLock } from "../command/file-lock.ts";
import { isBranchName } from "../domain/task/branch.ts";
import { FleetError } from "../domain/errors.ts";
import { git, isAncestor, REMOTE_PROTOCOLS, tryGit } from "../git/git.ts";
import type { ForgeRepository, RepositoryName } from "./forge.ts";

/** Of a large repository over a slow line; a local one takes milliseconds. */
const FETCH_TIMEOUT_MS = 600_000;
/** Where the operator's branches are kept beside ours, to tell ahead from behind from diverged. */
const SOURCE_REFS = "refs/fleetwright/source/";
/** Agents' branches are made here and nowhere else: an operator's copy of one is no news about it. */
const EXCLUDED_REFSPECS = ["^refs/heads/fleet", "^refs/heads/fleet/*"];

/** Refuses pushes to branches that come from the operator: agents deliver on their own, merging is Fleetwright's. */
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

const URL_SHAPE = /^(?:https|ssh|file):\/\/\S+$/;
const SCP_SHAPE = /^[A-Za-z0-9._][A-Za-z0-9._-]*@[A-Za-z0-9.][A-Za-z0-9.-]*:[^\s-]\S*$/;
/** A user, host or path that ssh would take for an option. Git refuses these itself, but hours later. */
const OPTION_SHAPE = /^[a-z]+:\/\/(?:-|[^/]*@-|[^/]*\/-)/;

export async function identifyRepository(repository: string): Promise<RepositoryName> {
  if (OPTION_SHAPE.test(repository)) {
    throw new FleetError("not-a-repository", "A user, host or path of a URL may not begin with a dash.");
  }
  if (URL_SHAPE.test(repository) || SCP_SHAPE.test(repository)) return identifyUrl(repository);
  if (/^[a-z][a-z0-9+.-]*:/i.test(repository)) {
    throw new FleetError("not-a-repository", `${repository} is no path, and no URL with https, ssh or file.`);
  }
  if (!isAbsolute(repository)) {
    throw new FleetError(
      "not-a-repository",
      `${repository} is no absolute path: Fleetwright does not run where you do.`,
    );
  }
  return identifyPath(repository);
}

function identifyUrl(url: string): RepositoryName {
  if (/^https:\/\/[^/]*@/.test(url)) {
    throw new FleetError(
      "not-a-repository",
      "The URL holds credentials. Leave them out; they would be stored and shown.",
    );
  }
  return { repository: url, kind: "url", slug: toSlug(url) };
}

async function identifyPath(given: string): Promise<RepositoryName> {
  const path = await realpath(given).catch(() => undefined);
  if (path === undefined) throw new FleetError("not-a-repository", `There is no ${given} on this machine.`);
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isFolder) throw new FleetError("not-a-repository", `${given} is no folder.`);
  const result = await tryGit(["rev-parse", "--is-bare-repository", "--absolute-git-dir"], { cwd: path });
  const [isBare, gitDir] = result.stdout.split("\n");
  if (result.exitCode !== 0 || !gitDir) throw new FleetError("not-a-repository", `${given} is no git repository.`);
  if (isBare === "true") return { repository: gitDir, kind: "bare", slug: toSlug(gitDir) };
  const top = await tryGit(["rev-parse", "--show-toplevel"], { cwd: path });
  if (top.exitCode !== 0) throw new FleetError("not-a-repository", `${given} lies inside a .git directory.`);
  const checkout = top.stdout.trimEnd();
  return { repository: checkout, kind: "checkout", slug: toSlug(checkout) };
}

/** The forge's copy of what is no bare repository, brought up to date; a bare one as it is. */
export async function openRepository(home: string, name: RepositoryName): Promise<ForgeRepository> {
  if (name.kind === "bare") {
    const head = await git(["symbolic-ref", "--short", "HEAD"], { gitDir: name.repository });
    return { ...name, gitDir: name.repository, url: name.repository, defaultBranch: head.trim(), diverged: [] };
  }
  const hash = createHash("sha256").update(name.repository).digest("hex").slice(0, 12);
  const key = `${name.slug}-${hash}`;
  const gitDir = join(home, "forge", `${key}.git`);
  const lock = { timeoutMs: FETCH_TIMEOUT_MS, code: "git-failed" } as const;
  return withLock(join(home, "forge", "locks", key), lock, async () => {
    const isNew = (await tryGit(["rev-parse", "--git-dir"], { gitDir, cwd: "/" })).exitCode !== 0;
    if (isNew) await createBare(gitDir, name);
    else await fetchSource(gitDir, name);
    const diverged = await fastForwardBranches(gitDir);
    if (isNew) await setDefaultBranch(gitDir, name);
    const head = await git(["symbolic-ref", "--short", "HEAD"], { gitDir });
    return { ...name, gitDir, url: gitDir, defaultBranch: head.trim(), diverged };
  });
}

/** Under another name first: a crash leaves rubbish, never half a repository. */
async function createBare(gitDir: string, name: RepositoryName): Promise<void> {
  const draft = `${gitDir}.draft`;
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft, { recursive: true, mode: 0o700 });
  await git(["init", "--quiet", "--bare", "--template=", draft], { cwd: draft });
  await git(["config", "receive.fsckObjects", "true"], { gitDir: draft });
  await git(["config", "receive.denyDeletes", "true"], { gitDir: draft });
  await mkdir(join(draft, "hooks"), { recursive: true });
  await writeFile(join(draft, "hooks", "update"), UPDATE_HOOK);
  await chmod(join(draft, "hooks", "update"), 0o755);
  await fetchSource(draft, name);
  await rm(gitDir, { recursive: true, force: true });
  await rename(draft, gitDir);
}

async function fetchSource(gitDir: string, { repository, kind }: RepositoryName): Promise<void> {
  const quiet = ["--quiet", "--no-tags", "--no-auto-maintenance", "--no-recurse-submodules", "--no-write-fetch-head"];
  const refspecs = [`+refs/heads/*:${SOURCE_REFS}*`, ...EXCLUDED_REFSPECS];
  const args = ["fetch", ...quiet, "--update-shallow", "--prune", "--end-of-options", repository, ...refspecs];
  const options = { gitDir, allowProtocol: kind === "url" ? REMOTE_PROTOCOLS : "file", timeoutMs: FETCH_TIMEOUT_MS };
  const fetched = await tryGit(args, options);
  if (fetched.exitCode === 0) return;
  const why = fetched.timedOut ? "it takes too long" : fetched.stderr.trim().split("\n").at(-1);
  throw new FleetError("forge-unavailable", `${repository} cannot be fetched from: ${why || "git does not say why"}.`);
}

/** Moves our branches to the operator's where that is a fast-forward, and names those that went two ways. */
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

/** What the source calls its default, else the customary names, else what is checked out there. */
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

function toSlug(repository: string): string {
  const name = basename(repository.replace(/\/+$/, "").replace(/\/\.git$/, "")).replace(/\.git$/, "");
  const slug = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .slice(0, 40)
    .replaceAll(/^-+|-+$/g, "");
  return slug || "repository";
}
