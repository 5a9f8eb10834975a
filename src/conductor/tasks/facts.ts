/** Gathering what is known about some tasks, for the rules to decide on: six statements and one look per repository. */
import type { TaskFacts } from "../../domain/monitor/decision.ts";
import { findProduct, reviewersFor } from "../../domain/settings/settings.ts";
import type { Task } from "../../domain/task/task.ts";
import type { ForgeRepository } from "../../forge/forge.ts";
import { listExhaustedBudgets, type ExhaustedBudget } from "../../store/budgets.ts";
import { listCiRuns, type CiRun } from "../../store/ci-runs.ts";
import { listFacts } from "../../store/heartbeats.ts";
import { listHosts } from "../../store/hosts.ts";
import { listPullRequests } from "../../store/pull-requests.ts";
import { listReviews } from "../../store/reviews.ts";
import type { Fleet } from "../fleet.ts";
import type { Review } from "../../domain/task/review.ts";
import type { PullRequest } from "../../domain/task/pull-request.ts";
import { WHOLE_TENANT } from "../../domain/tenant.ts";

export interface TaskObservation {
  readonly facts: TaskFacts;
  readonly pullRequest: PullRequest | undefined;
  readonly ciRuns: readonly CiRun[];
  readonly reviews: readonly Review[];
  /** Undefined when the forge could not be asked this time: that proves nothing. */
  readonly repository: ForgeRepository | undefined;
}

export async function gatherFacts(fleet: Fleet, tasks: readonly Task[]): Promise<ReadonlyMap<string, TaskObservation>> {
  const ids = tasks.map(({ id }) => id);
  const rows = await fleet.store.asSystem(async (tx) => ({
    seen: new Map((await listFacts(tx, ids)).map((seen) => [seen.taskId, seen])),
    hosts: new Map((await listHosts(tx)).map((host) => [host.id, host])),
    pullRequests: groupByTask(await listPullRequests(tx, ids)),
    ciRuns: groupByTask(await listCiRuns(tx, ids)),
    reviews: groupByTask(await listReviews(tx, ids)),
    exhausted: await listExhaustedBudgets(tx, [...new Set(tasks.map(({ tenantId }) => tenantId))]),
  }));
  const forges = await readForges(fleet, tasks);
  return new Map(
    tasks.map((task) => {
      const forge = forges.get(task.repository);
      const headSha = forge?.heads.get(task.branch);
      const pullRequest = rows.pullRequests.get(task.id)?.at(-1);
      const ciRuns = rows.ciRuns.get(task.id) ?? [];
      const reviews = rows.reviews.get(task.id) ?? [];
      const facts: TaskFacts = {
        agent: rows.seen.get(task.id),
        host: task.host ? rows.hosts.get(task.host) : undefined,
        branch: headSha ? { headSha } : undefined,
        pullRequest,
        ci: ciFacts(fleet, task, ciRuns),
        review: reviewFacts(task, reviews),
        opensOnPush: fleet.forge.kind === "local",
        excusedMs: task.metadata.excusedMs ?? 0,
        exhaustedCap: findUsedUpCap(task, rows.exhausted),
      };
      return [task.id, { facts, pullRequest, ciRuns, reviews, repository: forge?.repository }];
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

interface ForgeSnapshot {
  readonly repository: ForgeRepository;
  readonly heads: ReadonlyMap<string, string>;
}

/** Statuses in which the forge has something to say. */
const FORGE_STATUSES = new Set(["running", "pr_created", "reviewing", "ready"]);

/** Once per repository, however many tasks it has. One that does not answer leaves only its own tasks undecided. */
async function readForges(fleet: Fleet, tasks: readonly Task[]): Promise<ReadonlyMap<string, ForgeSnapshot>> {
  const names = new Set(tasks.filter(({ status }) => FORGE_STATUSES.has(status)).map(({ repository }) => repository));
  const snapshots = new Map<string, ForgeSnapshot>();
  for (const name of names) {
    try {
      const repository = await fleet.forge.ensure(name);
      const branches = await fleet.forge.listBranches(repository, "");
      snapshots.set(name, { repository, heads: new Map(branches.map(({ branch, headSha }) => [branch, headSha])) });
    } catch (error) {
      fleet.log.warn(
        { event: "forge.skipped", repository: name, error: String(error) },
        "a repository could not be looked at",
      );
    }
  }
  return snapshots;
}

export function ciFacts(fleet: Fleet, task: Task, runs: readonly CiRun[]): TaskFacts["ci"] {
  const product = findProduct(fleet.settings, task.repository);
  const { validate, test } = product?.commands ?? {};
  const rules = { configured: Boolean(validate ?? test), required: product?.ci.required ?? false };
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

/** The reviewers this task's pull requests go to. */
export function reviewersOf(fleet: Fleet, task: Task) {
  return reviewersFor(fleet.settings, task.taskType);
}
