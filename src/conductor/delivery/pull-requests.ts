/** Pull requests: the one file that reads and writes their rows, and has a forge that stores them itself open and comment them. */
import type { Product } from "../../domain/product.ts";
import type { PullRequest } from "../../domain/task/pull-request.ts";
import type { Task } from "../../domain/task/task.ts";
import type { ForgeRepository, PullRequestComment } from "../../forge/forge.ts";
import {
  closePullRequest,
  countOpenPullRequests,
  listPullRequests,
  updatePullRequests,
  upsertComment,
  upsertPullRequest,
  type OpenPullRequests,
} from "../../store/pull-requests.ts";
import type { Tx } from "../../store/sql.ts";
import type { Fleet } from "../fleet.ts";

/**
 * Opens the pull request of a head, or moves the open one to it. `writeTask` runs in the transaction of the row: a caller that
 * acts on an outdated task, whose branch may be merged by now, opens no second one.
 */
export async function openPullRequest<Result>(
  fleet: Fleet,
  {
    task,
    repository,
    headSha,
  }: { readonly task: Task; readonly repository: ForgeRepository; readonly headSha: string },
  writeTask: (tx: Tx, pullRequest: PullRequest) => Promise<Result>,
): Promise<Result> {
  const forge = fleet.forges.of(repository.repository);
  const { mergeBase } = await forge.compare(repository, task.baseBranch, headSha);
  const branches = { headBranch: task.branch, baseBranch: task.baseBranch };
  const number = await forge.pullRequests?.open(repository, { title: task.title, ...branches });
  return fleet.store.asSystem(async (tx) => {
    const pullRequest = await upsertPullRequest(tx, {
      repository: task.repository,
      number,
      taskId: task.id,
      tenantId: task.tenantId,
      operatorId: task.operatorId,
      title: task.title,
      ...branches,
      headSha,
      baseSha: mergeBase ?? headSha,
      openedBy: fleet.worker,
      attempt: task.attempt,
    });
    return writeTask(tx, pullRequest);
  });
}

/** All of one task, in the order of their numbers. */
export function pullRequestsOf(tx: Tx, taskId: string): Promise<PullRequest[]> {
  return listPullRequests(tx, [taskId]);
}

/** The newest one of each task, by the task's id. */
export async function latestPullRequests(
  tx: Tx,
  taskIds: readonly string[],
): Promise<ReadonlyMap<string, PullRequest>> {
  return byTask(await listPullRequests(tx, taskIds));
}

/** Brings the rows up to date with a forge that stores pull requests itself. Returns what has changed, by the task's id. */
export async function refreshPullRequests(
  fleet: Fleet,
  repository: ForgeRepository,
  recorded: readonly PullRequest[],
): Promise<ReadonlyMap<string, PullRequest>> {
  const { pullRequests } = fleet.forges.of(repository.repository);
  const known = new Map(recorded.filter(({ state }) => state !== "merged").map((one) => [one.number, one]));
  if (!pullRequests || known.size === 0) return new Map();
  const found = await pullRequests.read(repository, [...known.keys()]);
  const changed = found.filter(({ number, state, headSha }) => {
    const row = known.get(number);
    return row && (row.state !== state || row.headSha !== headSha);
  });
  if (changed.length === 0) return new Map();
  return byTask(await fleet.store.asSystem((tx) => updatePullRequests(tx, repository.repository, changed)));
}

/** At the forge first: a crash between the two repeats the comment instead of losing it. */
export async function commentOnPullRequest(
  fleet: Fleet,
  tx: Tx,
  pullRequest: Pick<PullRequest, "repository" | "number">,
  comment: PullRequestComment,
): Promise<void> {
  const { repository, number } = pullRequest;
  const forge = fleet.forges.of(repository);
  await forge.pullRequests?.comment(await forge.ensure(repository), number, comment);
  await upsertComment(tx, pullRequest, comment);
}

export async function recordMerge(fleet: Fleet, pullRequest: PullRequest, mergeSha: string): Promise<void> {
  await fleet.store.asSystem((tx) => closePullRequest(tx, pullRequest, { state: "merged", mergeSha }));
}

export function pullRequestUrl(fleet: Fleet, repository: string, number: number): string {
  return fleet.forges.of(repository).pullRequestUrl(repository, number);
}

/** How many are open in a product's repository, and when one of them moved last. */
export async function countProductPullRequests(fleet: Fleet, product: Product): Promise<OpenPullRequests> {
  // A repository that cannot be identified now has no pull requests that could be counted.
  const name = await fleet.forges
    .of(product.repository)
    .identify(product.repository)
    .catch(() => undefined);
  if (!name) return { open: 0, lastUpdate: null };
  return fleet.store.asSystem((tx) => countOpenPullRequests(tx, product.tenant, name.repository));
}

/** Rows come in the order of their numbers. */
function byTask(rows: readonly PullRequest[]): ReadonlyMap<string, PullRequest> {
  return new Map(rows.map((row) => [row.taskId, row]));
}
