/** reviews: one reviewer's verdict per round. The rows, not the queue, say when a round is complete. */
import { sql, type Tx } from "./sql.ts";
import { Review } from "../domain/task/review.ts";

const columns = sql`r.id, r.task_id, r.round, r.head_sha, r.reviewer, r.role, r.status, r.verdict, r.summary, r.findings,
  r.error, r.started_at, r.ended_at, r.created_at`;

export interface NewReview {
  readonly id: string;
  readonly reviewer: string;
  readonly role: string;
}

/** Creates one row per reviewer of the round; rows that exist stay as they are. */
export async function insertReviews(
  tx: Tx,
  round: { taskId: string; tenantId: string; operatorId: string; round: number; headSha: string },
  reviewers: readonly NewReview[],
): Promise<void> {
  await tx.run`
    insert into reviews (id, task_id, tenant_id, operator_id, round, head_sha, reviewer, role)
    select id, ${round.taskId}, ${round.tenantId}, ${round.operatorId}, ${round.round}, ${round.headSha}, reviewer, role
    from jsonb_to_recordset(${JSON.stringify(reviewers)}::jsonb) as r (id uuid, reviewer text, role text)
    on conflict on constraint reviews_one_per_round do nothing`;
}

export async function claimReview(
  tx: Tx,
  claim: { id: string; worker: string; leaseMs: number },
): Promise<Review | undefined> {
  return tx.maybeOne(Review)`
    update reviews r set status = 'running', worker = ${claim.worker}, started_at = now(),
      lease_until = now() + ${claim.leaseMs}::float8 * interval '1 ms'
    where r.id = ${claim.id} and (r.status = 'pending' or (r.status = 'running' and r.lease_until < now()))
    returning ${columns}`;
}

export async function renewReviewLease(tx: Tx, id: string, worker: string, leaseMs: number): Promise<boolean> {
  const renewed = await tx.run`
    update reviews set lease_until = now() + ${leaseMs}::float8 * interval '1 ms'
    where id = ${id} and worker = ${worker} and status = 'running'`;
  return renewed > 0;
}

export async function settleReview(
  tx: Tx,
  { id, worker }: { id: string; worker: string },
  outcome: Pick<Review, "status" | "verdict" | "summary" | "findings" | "error">,
): Promise<boolean> {
  const settled = await tx.run`
    update reviews set status = ${outcome.status}, verdict = ${outcome.verdict}, summary = ${outcome.summary},
      findings = ${JSON.stringify(outcome.findings)}::jsonb, error = ${outcome.error}, ended_at = now(), lease_until = null
    where id = ${id} and worker = ${worker} and status = 'running'`;
  return settled > 0;
}

export async function releaseReview(tx: Tx, id: string, worker: string): Promise<void> {
  await tx.run`
    update reviews set status = 'pending', worker = null, lease_until = null
    where id = ${id} and worker = ${worker} and status = 'running'`;
}

/** Locks the reviews of a round, so that of two concurrent last verdicts one sees both and decides. */
export async function lockReviewRound(tx: Tx, taskId: string, round: number): Promise<Review[]> {
  return tx.many(Review)`
    select ${columns} from reviews r where r.task_id = ${taskId} and r.round = ${round} order by r.reviewer for update`;
}

export async function listReviews(tx: Tx, taskIds: readonly string[]): Promise<Review[]> {
  return tx.many(Review)`
    select ${columns} from reviews r where r.task_id = any(${taskIds}::uuid[]) order by r.round, r.reviewer`;
}
