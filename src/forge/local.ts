/** The local forge: a bare repository for each repository, so that the whole loop works without network or account. */
import { fileURLToPath } from "node:url";
import { isBranchName } from "../domain/task/branch.ts";
import { truncateDiffByFile } from "../domain/text/diff.ts";
import { FleetError } from "../domain/errors.ts";
import { OBJECT_NAME, git, gitFailed, tryGit } from "../git/git.ts";
import { refsFingerprint } from "../git/refs-fingerprint.ts";
import { runChecks } from "./checks.ts";
import type {
  BranchHead,
  Comparison,
  DiffRequest,
  Forge,
  ForgeRepository,
  HeadCheckRequest,
  RepositoryName,
} from "./forge.ts";
import { mergeBranch } from "./merge.ts";
import { identifyRepository, openRepository } from "./repositories.ts";

/** A diff is read up to this size; what a reviewer can take is far less. */
const MAX_DIFF_BYTES = 16 * 1_024 * 1_024;
const DIFF_TIMEOUT_MS = 120_000;
const MINUTE_MS = 60_000;

/** `home` is FLEET_HOME. The operator's own checkouts are only ever read. */
export function openLocalForge(home: string): Forge {
  const { identify, ensure, refresh } = openRepositoryCache(home);
  const listBranches = cacheBranches();
  return {
    identify,
    ensure,
    headOf: (repository, branch) => headOf(repository, branch, listBranches),
    listBranches,
    compare,
    diff,
    async merge(repository, request) {
      assertBranchNames(request.base, request.head);
      // Commits that the operator made in the meantime become part of the base, or make the merge impossible.
      const current = await refresh(repository.repository);
      assertNotDiverged(current, request.base);
      return mergeBranch(current, request);
    },
    hasChecks: (product) => Boolean(product?.commands.validate ?? product?.commands.test),
    checkHead: (repository, request) => checkHead(home, repository, request),
    pullRequestUrl: (repository, number) => `${repository}#${number}`,
  };
}

/** The local forge's CI: the commands of the product, on this machine. */
async function checkHead(home: string, { repository, gitDir }: ForgeRepository, request: HeadCheckRequest) {
  const { product, ...run } = request;
  if (!product) throw new FleetError("not-found", `${repository} is no product of fleet.yaml any more.`);
  return runChecks({
    ...run,
    home,
    gitDir,
    commands: product.commands,
    timeoutMs: product.ci.timeoutMinutes * MINUTE_MS,
  });
}

/** How long the answer about a repository behind a URL is reused: no local file shows whether it has moved. */
const URL_FRESH_MS = 10_000;

/**
 * What has not moved since the last call is answered from memory, without running git: calls are many (every tick, every
 * spawn), and changes are few.
 */
function openRepositoryCache(home: string): Pick<Forge, "identify" | "ensure"> & { readonly refresh: Forge["ensure"] } {
  const names = new Map<string, RepositoryName>();
  const opened = new Map<string, { readonly source: string; readonly repository: ForgeRepository }>();
  const identifying = new Map<string, Promise<RepositoryName>>();
  const refreshing = new Map<string, Promise<ForgeRepository>>();

  async function identify(given: string): Promise<RepositoryName> {
    const found = names.get(given);
    if (found && (found.kind === "url" || refsFingerprint(found.repository) !== undefined)) return found;
    const name = await singleFlight(identifying, given, () => identifyRepository(given));
    names.set(given, name);
    return name;
  }

  async function refresh(given: string): Promise<ForgeRepository> {
    const name = await identify(given);
    // Taken before the fetch: if the source moves during it, the next call fetches again.
    const source = sourceFingerprint(name);
    const repository = await openRepository(home, name);
    if (source !== undefined) opened.set(name.repository, { source, repository });
    return repository;
  }

  return {
    identify,
    refresh,
    async ensure(given) {
      const name = await identify(given);
      const before = opened.get(name.repository);
      const isThere = before !== undefined && refsFingerprint(before.repository.gitDir) !== undefined;
      const source = sourceFingerprint(name);
      if (isThere && before.source === source) return before.repository;
      // Of two hundred concurrent callers one fetches. A caller that comes after the source moved fetches again.
      return source === undefined
        ? refresh(given)
        : singleFlight(refreshing, `${name.repository}\n${source}`, () => refresh(given));
    },
  };
}

/** Concurrent calls with the same key share one run of `work`. */
function singleFlight<Value>(
  running: Map<string, Promise<Value>>,
  key: string,
  work: () => Promise<Value>,
): Promise<Value> {
  const before = running.get(key);
  if (before) return before;
  const started = work().finally(() => running.delete(key));
  running.set(key, started);
  return started;
}

/** Undefined when it is unknown whether the source has moved: then it is fetched each time. */
function sourceFingerprint({ repository, kind }: RepositoryName): string | undefined {
  if (kind !== "url") return refsFingerprint(repository);
  if (repository.startsWith("file://")) return refsFingerprint(fileURLToPath(repository));
  return String(Math.floor(performance.now() / URL_FRESH_MS));
}

function cacheBranches(): Forge["listBranches"] {
  const cache = new Map<string, { readonly fingerprint: string; readonly branches: BranchHead[] }>();
  const reading = new Map<string, Promise<BranchHead[]>>();
  return async (repository, prefix) => {
    const key = `${repository.gitDir}\n${prefix}`;
    const print = refsFingerprint(repository.gitDir);
    const cached = cache.get(key);
    if (cached && cached.fingerprint === print) return cached.branches;
    const branches = await (print === undefined
      ? readBranches(repository, prefix)
      : singleFlight(reading, `${key}\n${print}`, () => readBranches(repository, prefix)));
    if (print !== undefined) cache.set(key, { fingerprint: print, branches });
    return branches;
  };
}

async function headOf(
  repository: ForgeRepository,
  branch: string,
  listBranches: Forge["listBranches"],
): Promise<string> {
  assertBranchNames(branch);
  assertNotDiverged(repository, branch);
  const tip = (await listBranches(repository, "")).find((head) => head.branch === branch);
  if (tip !== undefined) return tip.headSha;
  const message = `${repository.repository} has no branch ${branch}; its default branch is ${repository.defaultBranch}.`;
  throw new FleetError("branch-not-found", message);
}

async function readBranches({ gitDir }: ForgeRepository, prefix: string) {
  if (prefix !== "" && !(prefix.endsWith("/") && isBranchName(prefix.slice(0, -1)))) {
    throw new FleetError("invalid-input", `${prefix} is not a prefix of branches: it must be a name that ends with /.`);
  }
  const format = "--format=%(refname:lstrip=2)%00%(objectname)%00%(committerdate:unix)";
  const listed = await git(["for-each-ref", format, `refs/heads/${prefix}`], { gitDir });
  return listed
    .split("\n")
    .filter(Boolean)
    .map((line) => {
      const [branch = "", headSha = "", seconds] = line.split("\0");
      return { branch, headSha, committedAt: new Date(Number(seconds) * 1_000) };
    });
}

async function compare({ gitDir }: ForgeRepository, base: string, head: string): Promise<Comparison> {
  const [from, to] = [revision(base), revision(head)];
  const args = ["rev-list", "--left-right", "--count", "--end-of-options", `${from}...${to}`];
  const counted = await tryGit(args, { gitDir });
  if (counted.exitCode !== 0) throw new FleetError("branch-not-found", `${base} and ${head} cannot be compared.`);
  const [behind, ahead] = counted.stdout.trim().split("\t").map(Number);
  const mergeBase = (await tryGit(["merge-base", from, to], { gitDir })).stdout.trim() || undefined;
  return { mergeBase, ahead: ahead ?? 0, behind: behind ?? 0 };
}

async function diff(repository: ForgeRepository, { base, head, caps, redact }: DiffRequest) {
  const { mergeBase } = await compare(repository, base, head);
  const from = mergeBase ?? revision(base);
  const plain = [
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--find-renames",
    "--src-prefix=a/",
    "--dst-prefix=b/",
  ];
  const args = ["diff", ...plain, "--end-of-options", from, revision(head)];
  const { gitDir } = repository;
  const shown = await tryGit(args, { gitDir, timeoutMs: DIFF_TIMEOUT_MS, maxOutputBytes: MAX_DIFF_BYTES });
  if (shown.exitCode !== 0) throw gitFailed(args, shown);
  const cut = truncateDiffByFile(redact ? redact(shown.stdout) : shown.stdout, caps);
  return shown.truncated ? { ...cut, truncated: true } : cut;
}

/** A branch by its full name, or a commit: nothing that git would have to guess. */
function revision(name: string): string {
  if (OBJECT_NAME.test(name)) return name;
  assertBranchNames(name);
  return `refs/heads/${name}`;
}

function assertBranchNames(...branches: readonly string[]): void {
  for (const branch of branches) {
    if (!isBranchName(branch)) throw new FleetError("invalid-input", `${branch} is not a branch name.`);
  }
}

function assertNotDiverged({ diverged, repository, gitDir }: ForgeRepository, branch: string): void {
  if (!diverged.includes(branch)) return;
  const fix = `Reconcile them there first: git -C ${repository} pull --rebase ${gitDir} ${branch}`;
  throw new FleetError(
    "branch-diverged",
    `${branch} of ${repository} and of the forge have different commits. ${fix}`,
    {
      branch,
    },
  );
}
