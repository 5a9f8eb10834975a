/** ci_runs: one run of the checks per task and head, claimed by one worker at a time. */
import { z } from "zod";
import { CiStep } from "../domain/task/ci.ts";
import { sql, type Tx } from "./sql.ts";

export const CiRun = z.object({
  id: z.uuid(),
  taskId: z.uuid(),
  headSha: z.string(),
  status: z.enum(["pending", "running", "passing", "failing", "error"]),
  tries: z.int(),
  steps: z.array(CiStep),
  logExcerpt: z.string().nullable(),
  logPath: z.string().nullable(),
  startedAt: z.date().nullable(),
  endedAt: z.date().nullable(),
  createdAt: z.date(),
});
export type CiRun = z.infer<typeof CiRun>;

const columns = sql`c.id, c.task_id, c.head_sha, c.status, c.tries, c.steps, c.log_excerpt, c.log_path, c.started_at,
  c.ended_at, c.created_at`;

interface TaskOwner {
  readonly taskId: string;
  readonly tenantId: string;
  readonly operatorId: string;
}

/** The run for this head, made if there is none; one that the environment spoilt is open again. */
export async function ensureCiRun(tx: Tx, id: string, owner: TaskOwner, headSha: string): Promise<CiRun> {
  await tx.run`
    insert into ci_runs (id, task_id, tenant_id, operator_id, head_sha)
    values (${id}, ${owner.taskId}, ${owner.tenantId}, ${owner.operatorId}, ${headSha})
    on conflict on constraint ci_runs_head do update set status = 'pending', worker = null, lease_until = null
      where ci_runs.status = 'error'`;
  return tx.one(CiRun)`select ${columns} from ci_runs c where c.task_id = ${owner.taskId} and c.head_sha = ${headSha}`;
}

/** Claims it when nobody works on it; undefined when somebody does, or it is done. */
export async function claimCiRun(
  tx: Tx,
  claim: { taskId: string; headSha: string; worker: string; leaseMs: number },
): Promise<CiRun | undefined> {
  return tx.maybeOne(CiRun)`
    update ci_runs c set status = 'running', worker = ${claim.worker}, tries = tries + 1, started_at = now(),
      lease_until = now() + ${claim.leaseMs}::float8 * interval '1 ms'
    where c.task_id = ${claim.taskId} and c.head_sha = ${claim.headSha}
      and (c.status = 'pending' or (c.status = 'running' and c.lease_until < now()))
    returning ${columns}`;
}

/** False when the claim was lost meanwhile: the result then belongs to nobody. */
export async function renewCiRunLease(tx: Tx, id: string, worker: string, leaseMs: number): Promise<boolean> {
  const renewed = await tx.run`
    update ci_runs set lease_until = now() + ${leaseMs}::float8 * interval '1 ms'
    where id = ${id} and worker = ${worker} and status = 'running'`;
  return renewed > 0;
}

export async function settleCiRun(
  tx: Tx,
  { id, worker }: { id: string; worker: string },
  outcome: Pick<CiRun, "status" | "steps" | "logExcerpt" | "logPath">,
): Promise<boolean> {
  const settled = await tx.run`
    update ci_runs set status = ${outcome.status}, steps = ${JSON.stringify(outcome.steps)}::jsonb, log_excerpt = ${outcome.logExcerpt},
      log_path = ${outcome.logPath}, ended_at = now(), lease_until = null
    where id = ${id} and worker = ${worker} and status = 'running'`;
  return settled > 0;
}

/** Gives a run that could not be carried out back for the next worker. */
export async function releaseCiRun(tx: Tx, id: string, worker: string): Promise<void> {
  await tx.run`
    update ci_runs set status = 'pending', worker = null, lease_until = null
    where id = ${id} and worker = ${worker} and status = 'running'`;
}

export async function listCiRuns(tx: Tx, taskIds: readonly string[]): Promise<CiRun[]> {
  return tx.many(CiRun)`
    select ${columns} from ci_runs c where c.task_id = any(${taskIds}::uuid[]) order by c.created_at, c.id`;
}
