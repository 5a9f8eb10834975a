/** A real merge in a bare repository: no files are checked out, and the branch moves in one step or not at all. */
import { lastLines } from "../command/run.ts";
import { FleetError } from "../domain/errors.ts";
import { shellWord } from "../domain/text/shell-word.ts";
import { FLEETWRIGHT_IDENTITY, git, gitFailed, isAncestor, tryGit } from "../git/git.ts";
import type { ForgeRepository, MergeRequest, MergeResult } from "./forge.ts";

/** Another process may merge at the same moment; each lost try means that another merge succeeded. */
const MAX_TRIES = 10;
/** A large merge of long histories. */
const MERGE_TIMEOUT_MS = 120_000;
/** Names the head in the message of the merge: a squash leaves no other trace of what it contains. */
const TRAILER = "Fleetwright-Head";

export async function mergeBranch(repository: ForgeRepository, request: MergeRequest): Promise<MergeResult> {
  const { gitDir } = repository;
  const pullCommand = pullCommandFor(repository, request.base);
  for (let left = MAX_TRIES; ; left--) {
    const baseSha = await readTip(gitDir, request.base);
    if (baseSha === undefined)
      throw new FleetError("branch-not-found", `There is no branch ${request.base} to merge into.`);
    const existing = await findMerge(gitDir, baseSha, request.expectedHead);
    if (existing !== undefined) return { mergeSha: existing, already: true, pullCommand };

    await assertHeadUnmoved(gitDir, request);
    const tree = await mergeTrees(gitDir, baseSha, request);
    if (tree === (await readTree(gitDir, baseSha))) return { mergeSha: baseSha, already: true, pullCommand };
    const mergeSha = await commit(gitDir, request, { tree, baseSha });
    const failure = await moveBranch(gitDir, request, { from: baseSha, to: mergeSha });
    if (failure === undefined) return { mergeSha, already: false, pullCommand };
    if (left <= 1)
      throw new FleetError("forge-unavailable", `${request.base} could not be moved to the merge: ${failure}`);
  }
}

async function readTip(gitDir: string, branch: string): Promise<string | undefined> {
  const args = ["rev-parse", "--quiet", "--verify", "--end-of-options", `refs/heads/${branch}^{commit}`];
  return (await tryGit(args, { gitDir })).stdout.trim() || undefined;
}

/** The commit of the base that contains this head: its merge, or the squash that names it. */
async function findMerge(gitDir: string, baseSha: string, headSha: string): Promise<string | undefined> {
  if ((await tryGit(["cat-file", "-e", `${headSha}^{commit}`], { gitDir })).exitCode !== 0) return undefined;
  if (await isAncestor(gitDir, headSha, baseSha)) {
    const merges = await git(["rev-list", "--merges", "--ancestry-path", "--reverse", `${headSha}..${baseSha}`], {
      gitDir,
    });
    return merges.split("\n")[0] || baseSha;
  }
  // The first parents are only the operator's commits and our merges: no agent can forge a merge there.
  const grep = ["--first-parent", "--fixed-strings", `--grep=${TRAILER}: ${headSha}`, "--max-count=1"];
  return (await git(["rev-list", ...grep, baseSha, `^${headSha}`], { gitDir })).trim() || undefined;
}

async function assertHeadUnmoved(gitDir: string, { head, expectedHead }: MergeRequest): Promise<void> {
  const tip = await readTip(gitDir, head);
  if (tip === undefined) throw new FleetError("branch-not-found", `There is no branch ${head} to merge.`);
  if (tip === expectedHead) return;
  const message = `${head} is at ${tip.slice(0, 8)}; checked and reviewed was ${expectedHead.slice(0, 8)}.`;
  throw new FleetError("head-moved", message, { expected: expectedHead, actual: tip });
}

/** `merge-tree` writes the merged tree and changes nothing else; it names the files that conflict. */
async function mergeTrees(gitDir: string, baseSha: string, request: MergeRequest): Promise<string> {
  const args = ["merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", baseSha, request.expectedHead];
  const merged = await tryGit(args, { gitDir, timeoutMs: MERGE_TIMEOUT_MS });
  const [tree = "", ...files] = merged.stdout.split("\0").filter(Boolean);
  if (merged.exitCode === 0 && tree) return tree;
  if (merged.exitCode !== 1) throw gitFailed(args, merged);
  const conflicts = [...new Set(files)];
  const named = conflicts.slice(0, 5).join(", ") + (conflicts.length > 5 ? ` and ${conflicts.length - 5} more` : "");
  throw new FleetError("merge-conflict", `${request.head} conflicts with ${request.base} in ${named}.`, {
    files: conflicts,
  });
}

async function readTree(gitDir: string, sha: string): Promise<string> {
  return (await git(["rev-parse", `${sha}^{tree}`], { gitDir })).trim();
}

async function commit(gitDir: string, request: MergeRequest, at: { tree: string; baseSha: string }): Promise<string> {
  const parents = ["-p", at.baseSha, ...(request.strategy === "merge" ? ["-p", request.expectedHead] : [])];
  const body = `${request.title} (#${request.number})\n\n${request.body}`
    .replaceAll("\0", "")
    .toWellFormed()
    .replaceAll(new RegExp(`^\\s*${TRAILER}:.*$`, "gim"), "");
  const message = `${body.trimEnd()}\n\n${TRAILER}: ${request.expectedHead}\n`;
  const args = ["commit-tree", at.tree, ...parents, "-F", "-"];
  return (await git(args, { gitDir, input: message, identity: FLEETWRIGHT_IDENTITY })).trim();
}

/** Returns why it failed when the base or the head moved first: both are checked in the same step as the move. */
async function moveBranch(
  gitDir: string,
  request: MergeRequest,
  move: { from: string; to: string },
): Promise<string | undefined> {
  const input = [
    "start",
    `update refs/heads/${request.base} ${move.to} ${move.from}`,
    `verify refs/heads/${request.head} ${request.expectedHead}`,
    "prepare",
    "commit",
    "",
  ].join("\n");
  const moved = await tryGit(["update-ref", "--stdin", "-m", "merged by Fleetwright"], { gitDir, input });
  return moved.exitCode === 0 ? undefined : lastLines(moved.stderr, 2);
}

function pullCommandFor({ kind, repository, gitDir }: ForgeRepository, base: string): string | undefined {
  if (kind === "bare") return undefined;
  if (kind === "url")
    return `git --git-dir=${shellWord(gitDir)} push ${shellWord(repository)} ${shellWord(`${base}:${base}`)}`;
  return `git -C ${shellWord(repository)} pull --ff-only ${shellWord(gitDir)} ${shellWord(base)}`;
}
