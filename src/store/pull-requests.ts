/** pull_requests: those of the local forge, and the last known state of other forges' ones; at most one open one per branch. */
import { z } from "zod";
import { sql, type Tx } from "./sql.ts";
import type { PullRequestFacts } from "../domain/monitor/decision.ts";
import { PullRequest } from "../domain/task/pull-request.ts";

const columns = sql`p.repository, p.number, p.task_id, p.tenant_id, p.operator_id, p.title, p.head_branch, p.base_branch,
  p.head_sha, p.base_sha, p.state, p.opened_by, p.attempt, p.merge_sha, p.comments, p.created_at, p.updated_at, p.closed_at`;

type NewPullRequest = Pick<
  PullRequest,
  | "repository"
  | "taskId"
  | "tenantId"
  | "operatorId"
  | "title"
  | "headBranch"
  | "baseBranch"
  | "headSha"
  | "baseSha"
  | "openedBy"
  | "attempt"
> & {
  /** Given by the forge; left out where the rows are the pull requests. */
  readonly number?: number | undefined;
};

/** Inserts one for the branch, or moves the head of the open one. Numbers rise per repository unless the forge gives them. */
export async function upsertPullRequest(tx: Tx, request: NewPullRequest): Promise<PullRequest> {
  await tx.run`select pg_advisory_xact_lock(hashtextextended(${`pull-request-number/${request.repository}`}, 0))`;
  return tx.one(PullRequest)`
    insert into pull_requests as p (repository, number, task_id, tenant_id, operator_id, title, head_branch, base_branch,
      head_sha, base_sha, opened_by, attempt)
    values (${request.repository},
      coalesce(${request.number ?? null}, (select coalesce(max(number), 0) + 1 from pull_requests where repository = ${request.repository})),
      ${request.taskId}, ${request.tenantId}, ${request.operatorId}, ${request.title}, ${request.headBranch}, ${request.baseBranch},
      ${request.headSha}, ${request.baseSha}, ${request.openedBy}, ${request.attempt})
    on conflict (repository, head_branch) where state = 'open'
    do update set number = coalesce(${request.number ?? null}, p.number), head_sha = excluded.head_sha, base_sha = excluded.base_sha,
      attempt = excluded.attempt, updated_at = now()
    returning ${columns}`;
}

export async function listPullRequests(tx: Tx, taskIds: readonly string[]): Promise<PullRequest[]> {
  return tx.many(PullRequest)`
    select ${columns} from pull_requests p where p.task_id = any(${taskIds}::uuid[]) order by p.number`;
}

/** Writes what the forge reports. Returns the rows in the order of their numbers. */
export async function updatePullRequests(
  tx: Tx,
  repository: string,
  reported: readonly PullRequestFacts[],
): Promise<PullRequest[]> {
  const updated = await tx.many(PullRequest)`
    update pull_requests as p set state = seen.state, head_sha = seen."headSha", merge_sha = seen."mergeSha", updated_at = now(),
      closed_at = case when seen.state = 'open' then null else coalesce(p.closed_at, now()) end
    from jsonb_to_recordset(${JSON.stringify(reported)}::jsonb)
      as seen (number int, state text, "headSha" text, "mergeSha" text)
    where p.repository = ${repository} and p.number = seen.number
    returning ${columns}`;
  return updated.toSorted((a, b) => a.number - b.number);
}

const OpenPullRequests = z.object({ open: z.int(), lastUpdate: z.date().nullable() });
export type OpenPullRequests = z.infer<typeof OpenPullRequests>;

/** How many are open in a repository, and when one of them changed last. */
export async function countOpenPullRequests(tx: Tx, tenantId: string, repository: string): Promise<OpenPullRequests> {
  return tx.one(OpenPullRequests)`
    select count(*)::int as open, max(updated_at) as last_update from pull_requests
    where tenant_id = ${tenantId} and repository = ${repository} and state = 'open'`;
}

/** Closes the open one; nothing happens to one that is closed already. */
export async function closePullRequest(
  tx: Tx,
  pr: { repository: string; number: number },
  outcome: { state: "merged" | "closed"; mergeSha?: string },
): Promise<void> {
  await tx.run`
    update pull_requests set state = ${outcome.state}, merge_sha = ${outcome.mergeSha ?? null}, closed_at = now(), updated_at = now()
    where repository = ${pr.repository} and number = ${pr.number} and state = 'open'`;
}

/** Posts a comment once: the same marker replaces its body. */
export async function upsertComment(
  tx: Tx,
  pr: { repository: string; number: number },
  comment: { marker: string; body: string },
): Promise<void> {
  await tx.run`
    update pull_requests set updated_at = now(), comments = (
      select coalesce(jsonb_agg(c), '[]') from jsonb_array_elements(comments) as c where c->>'marker' <> ${comment.marker}
    ) || ${JSON.stringify([comment])}::jsonb
    where repository = ${pr.repository} and number = ${pr.number}`;
}
