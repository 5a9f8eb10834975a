/**
 * What Fleetwright needs of the place where branches and pull requests live. A forge is one file that implements this, and its
 * row in forges.ts.
 */
import type { PullRequestFacts } from "../domain/monitor/decision.ts";
import type { Product } from "../domain/product.ts";
import type { CiResult } from "../domain/task/ci.ts";
import type { DiffCaps, TruncatedDiff } from "../domain/text/diff.ts";
import type { Redactor } from "../domain/text/redact.ts";

export interface Forge {
  /** Names the repository without changing anything; refuses an address that leads to none. */
  identify(repository: string): Promise<RepositoryName>;
  /** Creates the forge's repository if there is none, and brings it up to date. */
  ensure(repository: string): Promise<ForgeRepository>;
  /** The tip of a branch. Refuses a branch that does not exist or has diverged. */
  headOf(repository: ForgeRepository, branch: string): Promise<string>;
  /** All branches below a prefix (`fleet/`; all of them when empty), in one git call. */
  listBranches(repository: ForgeRepository, prefix: string): Promise<BranchHead[]>;
  compare(repository: ForgeRepository, base: string, head: string): Promise<Comparison>;
  /** What the head changes since it left the base. */
  diff(repository: ForgeRepository, request: DiffRequest): Promise<TruncatedDiff>;
  /** All at once or not at all. Refuses conflicts and a head that moved; repeated, it reports the existing merge. */
  merge(repository: ForgeRepository, request: MergeRequest): Promise<MergeResult>;
  /** Whether heads of this product have checks; undefined: the repository is no product. */
  hasChecks(product: Product | undefined): boolean;
  /** The verdict of the checks on one commit. */
  checkHead(repository: ForgeRepository, request: HeadCheckRequest): Promise<CiResult>;
  /** Where people find a pull request. */
  pullRequestUrl(repository: string, number: number): string;
  /**
   * The pull requests of a forge that stores them itself; Fleetwright's rows then follow them. Absent on the local forge: there
   * the rows are the pull requests, and every pushed branch gets one at once.
   */
  readonly pullRequests?: RemotePullRequests;
}

export interface RemotePullRequests {
  /** Opens one for the branch, or finds the open one; returns its number. */
  open(repository: ForgeRepository, request: PullRequestRequest): Promise<number>;
  /** Their current state. One that the forge does not list is left out, which proves nothing. */
  read(repository: ForgeRepository, numbers: readonly number[]): Promise<readonly PullRequestFacts[]>;
  /** Posts a comment once: the same marker replaces its body. */
  comment(repository: ForgeRepository, number: number, comment: PullRequestComment): Promise<void>;
}

export interface PullRequestRequest {
  readonly title: string;
  readonly headBranch: string;
  readonly baseBranch: string;
}

export interface PullRequestComment {
  readonly marker: string;
  readonly body: string;
}

export interface RepositoryName {
  /** How it is stored and compared: an absolute path without symbolic links, or the URL as given. */
  readonly repository: string;
  readonly kind: "bare" | "checkout" | "url";
  /** A readable name for folders; not unique by itself. */
  readonly slug: string;
}

export interface ForgeRepository extends RepositoryName {
  /** The bare repository that holds the branches, on this machine. */
  readonly gitDir: string;
  /** What agents clone from and push to. */
  readonly url: string;
  readonly defaultBranch: string;
  /** Branches with different commits here and at the source: nothing may be built on them or merged into them. */
  readonly diverged: readonly string[];
}

export interface BranchHead {
  readonly branch: string;
  readonly headSha: string;
  readonly committedAt: Date;
}

export interface Comparison {
  /** Undefined when they have no commit in common. */
  readonly mergeBase: string | undefined;
  /** Commits of the head that the base lacks, and the other way round. */
  readonly ahead: number;
  readonly behind: number;
}

export interface DiffRequest {
  /** Branch names or full commit ids. */
  readonly base: string;
  readonly head: string;
  readonly caps: DiffCaps;
  /** Removes secrets before the diff is truncated. */
  readonly redact?: (text: string) => string;
}

export interface MergeRequest {
  /** The number of the pull request. */
  readonly number: number;
  readonly base: string;
  readonly head: string;
  /** The commit that was checked and reviewed; any other head of the branch is refused. */
  readonly expectedHead: string;
  readonly strategy: "squash" | "merge";
  readonly title: string;
  readonly body: string;
}

export interface MergeResult {
  readonly mergeSha: string;
  /** It existed before this call. */
  readonly already: boolean;
  /** The command that brings it to the operator's checkout; undefined when it is there. */
  readonly pullCommand: string | undefined;
}

export interface HeadCheckRequest {
  readonly product: Product | undefined;
  readonly headSha: string;
  /** Unique to this run of the checks. */
  readonly runId: string;
  /** Runs the product's commands; our own user by default. */
  readonly unixUser: string | undefined;
  readonly logPath: string;
  readonly redactor: Redactor;
  readonly signal: AbortSignal;
}
