/** attempts: one row per run of an agent, and which of them still have something on a host. */
import { sql, type Tx } from "./sql.ts";
import { Attempt } from "../domain/task/attempt.ts";

const columns = sql`a.task_id, a.attempt, a.dispatch_id, a.host, a.agent_type, a.model, a.start_sha, a.head_sha,
  a.context_hash, a.outcome, a.failure_context, a.started_at, a.running_at, a.ended_at, a.closed_at`;

export async function listAttempts(tx: Tx, taskId: string): Promise<Attempt[]> {
  return tx.many(Attempt)`select ${columns} from attempts a where a.task_id = ${taskId} order by a.attempt`;
}

/** Call it once the process has ended and the attempt is fenced, so that nothing of it can act. Its latest facts say so too. */
export async function closeAttempt(tx: Tx, taskId: string, attempt: number): Promise<void> {
  await tx.run`
    with ended as (
      update heartbeats set pane = 'missing', process = 'dead', pid = null, heartbeat_at = null
      where task_id = ${taskId} and attempt = ${attempt}
    )
    update attempts set closed_at = coalesce(closed_at, now()), ended_at = coalesce(ended_at, now())
    where task_id = ${taskId} and attempt = ${attempt}`;
}

/** Lists attempts of this host whose processes must be stopped: not the current one of a live task, or of a finished task. */
export async function listStaleAttempts(tx: Tx, host: string, limit: number): Promise<Attempt[]> {
  return tx.many(Attempt)`
    select ${columns} from attempts a join fleet_tasks t on t.id = a.task_id
    where a.host = ${host} and a.closed_at is null
      and (t.attempt <> a.attempt or t.host is distinct from a.host or t.status in ('ready', 'failed', 'rejected', 'retrying',
        'merged', 'abandoned', 'cancelled'))
    order by a.started_at limit ${limit}`;
}
