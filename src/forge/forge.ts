/** What Fleetwright needs of the place where branches and pull requests live. Only git here: the rows are the store's. */
import type { TruncatedDiff, DiffCaps } from "../domain/text/diff.ts";

export interface Forge {
  readonly kind: "local" | "github";
  /** Names the repository without changing anything; refuses what is none. */
  identify(repository: string): Promise<RepositoryName>;
  /** Makes the forge's repository if there is none, and brings it up to date. Done twice it does nothing twice. */
  ensure(repository: string): Promise<ForgeRepository>;
  /** The tip of a branch. Refuses one that is not there, or that has diverged. */
  headOf(repository: ForgeRepository, branch: string): Promise<string>;
  /** All branches below a prefix (`fleet/`; all of them when empty), in one git call. */
  listBranches(repository: ForgeRepository, prefix: string): Promise<BranchHead[]>;
  compare(repository: ForgeRepository, base: string, head: string): Promise<Comparison>;
  /** What the head changes since it left the base. */
  diff(repository: ForgeRepository, ask: DiffRequest): Promise<TruncatedDiff>;
  /** All at once or not at all; refuses conflicts and a head that moved; asked again it says that it is merged. */
  merge(repository: ForgeRepository, ask: MergeRequest): Promise<MergeResult>;
}

export interface RepositoryName {
  /** How it is stored and compared: an absolute path without symbolic links, or the URL as given. */
  readonly repository: string;
  readonly kind: "bare" | "checkout" | "url";
  /** A readable name for folders; not unique by itself. */
  readonly slug: string;
}

export interface ForgeRepository extends RepositoryName {
  /** The bare repository that holds the branches: what is cloned from and pushed to. */
  readonly gitDir: string;
  readonly url: string;
  readonly defaultBranch: string;
  /** Branches that got different commits here and where they come from: nothing may be built on them or merged into them. */
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
  /** Takes secrets out before anything is cut. */
  readonly redact?: (text: string) => string;
}

export interface MergeRequest {
  readonly base: string;
  readonly head: string;
  /** What was checked and reviewed; anything else on the branch is refused. */
  readonly expectedHead: string;
  readonly strategy: "squash" | "merge";
  readonly message: string;
}

export interface MergeResult {
  readonly mergeSha: string;
  readonly baseSha: string;
  /** It was there before this call. */
  readonly already: boolean;
  /** What brings it to the operator's checkout; undefined when it is there. */
  readonly pullCommand: string | undefined;
}
