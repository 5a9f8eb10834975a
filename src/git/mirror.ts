/** Bare mirrors: Fleetwright's own, trusted copy of each repository. All workspaces come from one, and work is read in it. */
import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";
import { withLock } from "../command/file-lock.ts";
import { lastLines, type CommandResult } from "../command/run.ts";
import { FleetError } from "../domain/errors.ts";
import { redactUrl } from "../domain/text/redact-url.ts";
import { createBareCopy } from "./bare-copy.ts";
import { OBJECT_NAME, REMOTE_PROTOCOLS, git, gitFailed, tryGit } from "./git.ts";
import { refsFingerprint } from "./refs-fingerprint.ts";
import { parseRepositoryAddress, repositoryFolder } from "./repository-url.ts";

export interface Mirror {
  readonly url: string;
  /** A bare repository: the forge's branches under refs/remotes/origin, the agents' under refs/heads. */
  readonly path: string;
}

export interface Mirrors {
  readonly home: string;
  /** Makes the mirror if there is none yet; does not fetch otherwise. */
  ensure(url: string): Promise<Mirror>;
  /** Brings it up to date. Callers that come while a fetch waits to begin share that fetch. */
  fetch(url: string, signal?: AbortSignal): Promise<Mirror>;
  /** One at a time per mirror, across all processes of this machine: for adding and removing worktrees. */
  runExclusive<Value>(mirror: Mirror, work: () => Promise<Value>): Promise<Value>;
}

const FETCH_TIMEOUT_MS = 10 * 60_000;
/** A lock file this old belongs to a git that was killed: the slowest fetch ends earlier. */
const STALE_LOCK_MS = 10 * 60_000;
const LOCK_TIMEOUT_MS = FETCH_TIMEOUT_MS + 30_000;
const MAX_LISTED_BRANCHES = 12;

export function openMirrors({ home }: { home: string }): Mirrors {
  const waiting = new Map<string, Promise<void>>();
  const queues = new Map<string, Promise<unknown>>();
  /** The fingerprint of a local source at its last fetch: as long as it is the same, there is nothing to fetch. */
  const fetched = new Map<string, string>();

  /** Within this process callers queue here, so that the lock file is contended only between processes. */
  async function withQueuedLock<Value>(key: string, work: () => Promise<Value>): Promise<Value> {
    const before = queues.get(key) ?? Promise.resolve();
    const mine = before.then(() => withLock(key, { timeoutMs: LOCK_TIMEOUT_MS, code: "git-failed" }, work));
    const settled = mine.catch(() => undefined);
    queues.set(key, settled);
    try {
      return await mine;
    } finally {
      if (queues.get(key) === settled) queues.delete(key);
    }
  }

  async function ensure(address: string): Promise<Mirror> {
    const mirror = mirrorOf(home, address);
    if (await mirrorExists(mirror.path)) return mirror;
    await withQueuedLock(lockDir(mirror, "fetch"), async () => {
      if (!(await mirrorExists(mirror.path))) await createMirror(mirror);
    });
    return mirror;
  }

  async function fetch(address: string, signal?: AbortSignal): Promise<Mirror> {
    const mirror = mirrorOf(home, address);
    if (!(await mirrorExists(mirror.path))) return ensure(address);
    const fingerprint = localFingerprint(mirror.url);
    if (fingerprint !== undefined && fetched.get(mirror.path) === fingerprint) return mirror;
    const shared = waiting.get(mirror.path) ?? queueFetch(mirror, signal);
    await shared;
    // The fingerprint is the one from before the fetch: if the source has moved since, the next caller fetches again.
    if (fingerprint !== undefined) fetched.set(mirror.path, fingerprint);
    return mirror;
  }

  function queueFetch(mirror: Mirror, signal: AbortSignal | undefined): Promise<void> {
    const removeFromWaiting = () => {
      if (waiting.get(mirror.path) === mine) waiting.delete(mirror.path);
    };
    const mine = withQueuedLock(lockDir(mirror, "fetch"), async () => {
      // From here on a caller needs a fetch of its own: this one may have read the forge before the caller's change.
      removeFromWaiting();
      await fetchInto(mirror, signal);
    }).finally(removeFromWaiting);
    waiting.set(mirror.path, mine);
    return mine;
  }

  return { home, ensure, fetch, runExclusive: (mirror, work) => withQueuedLock(lockDir(mirror, "worktrees"), work) };
}

export function mirrorOf(home: string, address: string): Mirror {
  const { address: url } = parseRepositoryAddress(address);
  return { url, path: join(home, "mirrors", `${repositoryFolder(url)}.git`) };
}

/**
 * The commits of the named refs (full names, as `refs/heads/x`); refs that do not exist are left out. They are read from the
 * files, which is 5 ms faster than running git and safe here: the mirror is ours, and git replaces these files by rename.
 */
export async function readRefs(mirror: Mirror, names: readonly string[]): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const packed: string[] = [];
  for (const name of names) {
    const sha = (await readFile(join(mirror.path, name), "latin1").catch(() => "")).trim();
    if (OBJECT_NAME.test(sha)) found.set(name, sha);
    else packed.push(name);
  }
  if (packed.length === 0) return found;
  const wanted = new Set(packed);
  for (const line of (await readFile(join(mirror.path, "packed-refs"), "latin1").catch(() => "")).split("\n")) {
    const [sha, name] = line.split(" ");
    if (sha && name && wanted.has(name) && OBJECT_NAME.test(sha)) found.set(name, sha);
  }
  return found;
}

/** The refusal for a base branch that does not exist; it names those that do. */
export async function missingBranchError(mirror: Mirror, branch: string): Promise<FleetError> {
  const out = await git(["for-each-ref", "--format=%(refname:lstrip=3)", "refs/remotes/origin"], {
    gitDir: mirror.path,
  });
  const branches = out.split("\n").filter((name) => name !== "" && name !== "HEAD");
  const named = branches.slice(0, MAX_LISTED_BRANCHES).join(", ");
  const more = branches.length > MAX_LISTED_BRANCHES ? ` and ${branches.length - MAX_LISTED_BRANCHES} more` : "";
  const has = branches.length > 0 ? `It has: ${named}${more}.` : "It has no branches yet: make a first commit.";
  return new FleetError("workspace-refused", `There is no branch ${branch} in ${redactUrl(mirror.url)}. ${has}`, {
    branch,
    branches: branches.slice(0, MAX_LISTED_BRANCHES),
  });
}

async function createMirror({ url, path }: Mirror): Promise<void> {
  await createBareCopy(path, async (draft) => {
    await writeFile(join(draft, "config"), mirrorConfig(url), { mode: 0o600 });
    await writeFile(join(draft, "config.worktree"), "[core]\n\tbare = true\n", { mode: 0o600 });
    await fetchInto({ url, path: draft }, undefined);
  });
}

/** `core.bare` is set in config.worktree because every worktree would inherit it from here. */
function mirrorConfig(url: string): string {
  const quoted = `"${url.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
  return `[core]
	repositoryformatversion = 1
	logAllRefUpdates = true
[extensions]
	worktreeConfig = true
[remote "origin"]
	url = ${quoted}
	fetch = +refs/heads/*:refs/remotes/origin/*
[gc]
	auto = 0
	autoDetach = false
	worktreePruneExpire = never
[maintenance]
	auto = false
[push]
	default = current
[uploadpack]
	allowAnySHA1InWant = true
`;
}

async function fetchInto(mirror: Mirror, signal: AbortSignal | undefined): Promise<void> {
  const args = [
    "fetch",
    "--quiet",
    "--prune",
    "--no-auto-maintenance",
    "--no-recurse-submodules",
    "--no-write-fetch-head",
  ];
  const run = () =>
    tryGit([...args, "origin"], {
      gitDir: mirror.path,
      allowProtocol: REMOTE_PROTOCOLS,
      timeoutMs: FETCH_TIMEOUT_MS,
      ...(signal ? { signal } : {}),
    });
  let result = await run();
  if (result.exitCode !== 0 && result.stderr.includes(".lock': File exists")) {
    if ((await removeStaleLocks(mirror)) > 0) result = await run();
  }
  if (result.exitCode !== 0) throw fetchFailed(mirror.url, result);
}

/** Only the holder of the fetch lock may call this: then no git of ours is changing refs. */
async function removeStaleLocks(mirror: Mirror): Promise<number> {
  const entries = await readdir(mirror.path, { recursive: true, withFileTypes: true });
  let removed = 0;
  for (const entry of entries) {
    if (!entry.isFile() || !entry.name.endsWith(".lock") || entry.parentPath.includes("/objects")) continue;
    const path = join(entry.parentPath, entry.name);
    const age = Date.now() - (await stat(path)).mtimeMs;
    if (age < STALE_LOCK_MS) continue;
    await rm(path, { force: true });
    removed += 1;
  }
  return removed;
}

const NOT_FOUND =
  /does not appear to be a git repository|repository .* (?:not found|does not exist)|not a git repository/i;
const DENIED = /permission denied|authentication failed|could not read (?:username|password)|access denied/i;

function fetchFailed(url: string, result: CommandResult): FleetError {
  const shown = redactUrl(url);
  const reasons = result.stderr.split("\n").filter((line) => /^(?:fatal|error):/.test(line));
  const output = redactUrl(reasons.length > 0 ? reasons.slice(0, 3).join("\n") : lastLines(result.stderr, 4));
  if (result.timedOut || result.aborted) return gitFailed(["fetch"], result);
  if (NOT_FOUND.test(result.stderr)) {
    return new FleetError("workspace-refused", `There is no git repository at ${shown}.`, { url: shown, output });
  }
  if (DENIED.test(result.stderr)) {
    return new FleetError("workspace-refused", `The repository ${shown} may not be read: ${output}`, { url: shown });
  }
  return new FleetError("forge-unavailable", `The repository ${shown} cannot be reached: ${output}`, { url: shown });
}

function localFingerprint(url: string): string | undefined {
  const path = url.startsWith("file://") ? fileURLToPath(url) : url;
  return isAbsolute(path) ? refsFingerprint(path) : undefined;
}

function lockDir(mirror: Mirror, what: "fetch" | "worktrees"): string {
  return `${mirror.path}.${what}-lock`;
}

async function mirrorExists(path: string): Promise<boolean> {
  return (await stat(join(path, "config")).catch(() => undefined)) !== undefined;
}
