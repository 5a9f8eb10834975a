/** pull_requests: those of the local forge, at most one open per branch. */
import { z } from "zod";
import { sql, type Tx } from "./sql.ts";
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
>;

/** Opens one for the branch, or updates the head of the open one, so that a repeated call adds none. Numbers rise per repository. */
export async function openPullRequest(tx: Tx, request: NewPullRequest): Promise<PullRequest> {
  await tx.run`select pg_advisory_xact_lock(hashtextextended(${`pull-request-number/${request.repository}`}, 0))`;
  return tx.one(PullRequest)`
    insert into pull_requests as p (repository, number, task_id, tenant_id, operator_id, title, head_branch, base_branch,
      head_sha, base_sha, opened_by, attempt)
    values (${request.repository},
      (select coalesce(max(number), 0) + 1 from pull_requests where repository = ${request.repository}),
      ${request.taskId}, ${request.tenantId}, ${request.operatorId}, ${request.title}, ${request.headBranch}, ${request.baseBranch},
      ${request.headSha}, ${request.baseSha}, ${request.openedBy}, ${request.attempt})
    on conflict (repository, head_branch) where state = 'open'
    do update set head_sha = excluded.head_sha, base_sha = excluded.base_sha, attempt = excluded.attempt, updated_at = now()
    returning ${columns}`;
}

export async function listPullRequests(tx: Tx, taskIds: readonly string[]): Promise<PullRequest[]> {
  return tx.many(PullRequest)`
    select ${columns} from pull_requests p where p.task_id = any(${taskIds}::uuid[]) order by p.number`;
}

const OpenPullRequests = z.object({ open: z.int(), lastUpdate: z.date().nullable() });
export type OpenPullRequests = z.infer<typeof OpenPullRequests>;

/** Counts the open ones of a repository, and finds the latest update. */
export async function countOpenPullRequests(tx: Tx, tenantId: string, repository: string): Promise<OpenPullRequests> {
  return tx.one(OpenPullRequests)`
    select count(*)::int as open, max(updated_at) as last_update from pull_requests
    where tenant_id = ${tenantId} and repository = ${repository} and state = 'open'`;
}

/** Closes an open one; one that is closed already stays as it is. */
export async function closePullRequest(
  tx: Tx,
  pr: { repository: string; number: number },
  outcome: { state: "merged" | "closed"; mergeSha?: string },
): Promise<void> {
  await tx.run`
    update pull_requests set state = ${outcome.state}, merge_sha = ${outcome.mergeSha ?? null}, closed_at = now(), updated_at = now()
    where repository = ${pr.repository} and number = ${pr.number} and state = 'open'`;
}

/** Posts a comment, or replaces the body of the one with the same marker. */
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
