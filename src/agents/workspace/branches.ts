/** The agents' branches in the trusted mirror: reads and compares them, and publishes them to the forge on the agent's behalf. */
import { asUser, type UnixUser } from "../../command/unix-user.ts";
import { FleetError } from "../../domain/errors.ts";
import { redactUrl } from "../../domain/text/redact-url.ts";
import { git, gitFailed, REMOTE_PROTOCOLS, tryGit } from "../../git/git.ts";
import { readRefs, type Mirror, type Mirrors } from "../../git/mirror.ts";

export interface PublishRequest {
  readonly repositoryUrl: string;
  readonly branch: string;
  /** The agent's own clone; absent for worktrees, whose branch is already in the mirror. */
  readonly clone?: AgentClone;
  /** The head that the forge must still have; null means that the branch must not exist there. Without it, only a fast-forward is allowed. */
  readonly expectedOld?: string | null;
}

export interface AgentClone {
  readonly path: string;
  /** The owner of the files. They are read with that user's rights, so that a link in them cannot reach other files. */
  readonly user?: UnixUser | undefined;
}

export interface PublishResult {
  readonly sha: string;
  /** False when the forge already had it, for instance because the agent pushed by itself. */
  readonly pushed: boolean;
}

export interface DiffStat {
  readonly files: readonly string[];
  readonly insertions: number;
  readonly deletions: number;
}

const PUSH_TIMEOUT_MS = 5 * 60_000;
const CLONE_TIMEOUT_MS = 2 * 60_000;
const EXCERPT_CHARS = 2_000;
const EXCERPT_READ_BYTES = 512 * 1_024;

/** Pushes the branch from the mirror; nothing in the agent's folder is executed or trusted. */
export async function publishBranch(mirrors: Mirrors, request: PublishRequest): Promise<PublishResult> {
  const mirror = await mirrors.ensure(request.repositoryUrl);
  if (request.clone !== undefined) await fetchFromClone(mirror, request.clone, request.branch);
  const sha = await branchHead(mirror, request.branch);
  if (sha === null)
    throw new FleetError("git-failed", `There is no branch ${request.branch} to publish.`, { branch: request.branch });

  const ref = `refs/heads/${request.branch}`;
  const lease = request.expectedOld === undefined ? [] : [`--force-with-lease=${ref}:${request.expectedOld ?? ""}`];
  const args = ["push", "--porcelain", "--no-verify", ...lease, "origin", `${sha}:${ref}`];
  const result = await tryGit(args, {
    gitDir: mirror.path,
    allowProtocol: REMOTE_PROTOCOLS,
    timeoutMs: PUSH_TIMEOUT_MS,
  });
  const line = result.stdout.split("\n").find((text) => text.includes(`:${ref}\t`)) ?? "";
  if (result.exitCode === 0) return { sha, pushed: !line.startsWith("=") };
  if (line.startsWith("!")) {
    const why = /\((.*)\)/.exec(line)?.[1] ?? "rejected";
    const message = `The forge refused ${request.branch} at ${redactUrl(mirror.url)}: ${why}.`;
    throw new FleetError("merge-conflict", message, { branch: request.branch, sha, why });
  }
  throw gitFailed(["push"], result);
}

/** Fetches the branch from an agent's own clone into the mirror. git verifies every object, because the clone is not trusted. */
export async function fetchFromClone(mirror: Mirror, { path, user }: AgentClone, branch: string): Promise<void> {
  const serve = user
    ? [`--upload-pack=${asUser(user, ["env", "GIT_CONFIG_GLOBAL=/dev/null", "git", "upload-pack"]).join(" ")}`]
    : [];
  const flags = [
    ...serve,
    "--quiet",
    "--no-tags",
    "--no-auto-maintenance",
    "--no-recurse-submodules",
    "--no-write-fetch-head",
  ];
  const ref = `refs/heads/${branch}`;
  await git(["-c", "transfer.fsckObjects=true", "fetch", ...flags, path, `+${ref}:${ref}`], {
    gitDir: mirror.path,
    allowProtocol: "file",
    timeoutMs: CLONE_TIMEOUT_MS,
  });
}

export async function branchHead(mirror: Mirror, branch: string): Promise<string | null> {
  return (await readRefs(mirror, [`refs/heads/${branch}`])).get(`refs/heads/${branch}`) ?? null;
}

export async function diffStat(mirror: Mirror, base: string, head: string): Promise<DiffStat> {
  const args = ["diff", "--numstat", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", base, head, "--"];
  const files: string[] = [];
  let insertions = 0;
  let deletions = 0;
  for (const entry of (await git(args, { gitDir: mirror.path })).split("\0")) {
    const [added, removed, name] = entry.split("\t");
    if (name === undefined) continue;
    files.push(name);
    // git reports "-" for binary files.
    insertions += Number(added) || 0;
    deletions += Number(removed) || 0;
  }
  return { files, insertions, deletions };
}

/** Returns the hunks of the commits after `base`, newest first, within `maxChars`. It is untrusted text. */
export async function diffExcerpt(
  mirror: Mirror,
  base: string,
  head: string,
  maxChars = EXCERPT_CHARS,
): Promise<string> {
  const args = [
    "log",
    "--patch",
    "--format=",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    `${base}..${head}`,
    "--",
  ];
  const { exitCode, stdout } = await tryGit(args, { gitDir: mirror.path, maxOutputBytes: EXCERPT_READ_BYTES });
  if (exitCode !== 0) return "";
  const hunks: string[] = [];
  let room = maxChars;
  let header = "";
  for (const part of stdout.split(/^(?=diff --git |@@ )/m)) {
    if (part.startsWith("diff --git ")) {
      header = part;
      continue;
    }
    const hunk = header + part;
    if (hunk.length > room) {
      if (hunks.length === 0) hunks.push(hunk.slice(0, room));
      break;
    }
    hunks.push(hunk);
    room -= hunk.length;
    header = "";
  }
  return hunks.join("");
}
