/** Gathers what is known about some tasks, for the rules to decide on: six statements, and one read per repository. */
import type { TaskFacts } from "../../domain/monitor/decision.ts";
import { findProduct, reviewersFor } from "../../domain/settings/settings.ts";
import type { Task } from "../../domain/task/task.ts";
import type { ForgeRepository } from "../../forge/forge.ts";
import { listExhaustedBudgets, type ExhaustedBudget } from "../../store/budgets.ts";
import { listCiRuns, type CiRun } from "../../store/ci-runs.ts";
import { listFacts } from "../../store/heartbeats.ts";
import { listHosts } from "../../store/hosts.ts";
import { listReviews } from "../../store/reviews.ts";
import { latestPullRequests, refreshPullRequests } from "../delivery/pull-requests.ts";
import type { Fleet } from "../fleet.ts";
import type { Review } from "../../domain/task/review.ts";
import type { PullRequest } from "../../domain/task/pull-request.ts";
import { WHOLE_TENANT } from "../../domain/tenant.ts";

export interface TaskObservation {
  readonly facts: TaskFacts;
  readonly pullRequest: PullRequest | undefined;
  readonly ciRuns: readonly CiRun[];
  readonly reviews: readonly Review[];
  /** Undefined when the forge could not be read this time: that proves nothing. */
  readonly repository: ForgeRepository | undefined;
}

export async function gatherFacts(fleet: Fleet, tasks: readonly Task[]): Promise<ReadonlyMap<string, TaskObservation>> {
  const ids = tasks.map(({ id }) => id);
  const rows = await fleet.store.asSystem(async (tx) => ({
    seen: new Map((await listFacts(tx, ids)).map((seen) => [seen.taskId, seen])),
    hosts: new Map((await listHosts(tx)).map((host) => [host.id, host])),
    pullRequests: await latestPullRequests(tx, ids),
    ciRuns: groupByTask(await listCiRuns(tx, ids)),
    reviews: groupByTask(await listReviews(tx, ids)),
    exhausted: await listExhaustedBudgets(tx, [...new Set(tasks.map(({ tenantId }) => tenantId))]),
  }));
  const repositories = await readRepositories(fleet, tasks, rows.pullRequests);
  return new Map(
    tasks.map((task) => {
      const seen = repositories.get(task.repository);
      const headSha = seen?.heads.get(task.branch);
      const pullRequest = seen?.changed.get(task.id) ?? rows.pullRequests.get(task.id);
      const ciRuns = rows.ciRuns.get(task.id) ?? [];
      const reviews = rows.reviews.get(task.id) ?? [];
      const facts: TaskFacts = {
        agent: rows.seen.get(task.id),
        host: task.host ? rows.hosts.get(task.host) : undefined,
        branch: headSha ? { headSha } : undefined,
        pullRequest,
        ci: ciFacts(fleet, task, ciRuns),
        review: reviewFacts(task, reviews),
        opensOnPush: fleet.forges.of(task.repository).pullRequests === undefined,
        excusedMs: task.metadata.excusedMs ?? 0,
        exhaustedCap: findUsedUpCap(task, rows.exhausted),
      };
      return [task.id, { facts, pullRequest, ciRuns, reviews, repository: seen?.repository }];
    }),
  );
}

function findUsedUpCap(
  { tenantId, operatorId }: Task,
  exhausted: readonly ExhaustedBudget[],
): TaskFacts["exhaustedCap"] {
  const mine = exhausted.filter((one) => one.tenantId === tenantId);
  return mine.find((one) => one.operatorId === operatorId || one.operatorId === WHOLE_TENANT)?.cap;
}

function groupByTask<Row extends { readonly taskId: string }>(rows: readonly Row[]): Map<string, Row[]> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const group = groups.get(row.taskId);
    if (group) group.push(row);
    else groups.set(row.taskId, [row]);
  }
  return groups;
}

interface RepositorySnapshot {
  readonly repository: ForgeRepository;
  readonly heads: ReadonlyMap<string, string>;
  /** Pull requests that have changed at the forge, by task. */
  readonly changed: ReadonlyMap<string, PullRequest>;
}

/** Statuses in which the forge knows something about the task. */
const FORGE_STATUSES = new Set(["running", "pr_created", "reviewing", "ready"]);

/** Once per repository, however many tasks it has. A forge that does not answer leaves only its own tasks undecided. */
async function readRepositories(
  fleet: Fleet,
  tasks: readonly Task[],
  pullRequests: ReadonlyMap<string, PullRequest>,
): Promise<ReadonlyMap<string, RepositorySnapshot>> {
  const delivering = tasks.filter(({ status }) => FORGE_STATUSES.has(status));
  const snapshots = new Map<string, RepositorySnapshot>();
  for (const name of new Set(delivering.map(({ repository }) => repository))) {
    try {
      const forge = fleet.forges.of(name);
      const repository = await forge.ensure(name);
      const branches = await forge.listBranches(repository, "");
      const heads = new Map(branches.map(({ branch, headSha }) => [branch, headSha]));
      const recorded = delivering.flatMap(({ id, repository: at }) =>
        at === name ? (pullRequests.get(id) ?? []) : [],
      );
      snapshots.set(name, { repository, heads, changed: await refreshPullRequests(fleet, repository, recorded) });
    } catch (error) {
      const facts = { event: "forge.skipped", repository: name, error: String(error) };
      fleet.log.warn(facts, "a repository could not be read from its forge");
    }
  }
  return snapshots;
}

export function ciFacts(fleet: Fleet, task: Task, runs: readonly CiRun[]): TaskFacts["ci"] {
  const product = findProduct(fleet.settings, task.repository);
  const configured = fleet.forges.of(task.repository).hasChecks(product);
  const rules = { configured, required: product?.ci.required ?? false };
  const run = runs.at(-1);
  if (!run) return { ...rules, headSha: undefined, status: "none", errors: 0, since: undefined };
  return {
    ...rules,
    headSha: run.headSha,
    status: run.status === "running" ? "pending" : run.status,
    errors: run.status === "error" ? run.tries : 0,
    since: run.startedAt ?? run.createdAt,
  };
}

function reviewFacts(task: Task, reviews: readonly Review[]): TaskFacts["review"] {
  const round = task.metadata.reviewRound ?? 0;
  const first = reviews.find((review) => review.round === round);
  return {
    round,
    headSha: first?.headSha ?? task.metadata.reviewedHead,
    startedAt: first?.createdAt,
  };
}

/** The reviewers of this task's pull requests. */
export function reviewersOf(fleet: Fleet, task: Task) {
  return reviewersFor(fleet.settings, task.taskType);
}
