/** heartbeats: the latest facts per task's agent, one statement per host and tick. */
import { z } from "zod";
import { StoredAgentFacts, type AgentFacts } from "../domain/monitor/facts.ts";
import { sql, type Tx } from "./sql.ts";

const ActiveAgent = z.object({ taskId: z.uuid(), attempt: z.int() });

const columns = sql`h.task_id, h.attempt, h.dispatch_id, h.host, h.pane, h.process, h.pid, h.heartbeat_at, h.heartbeat_status,
  h.exit, h.out_bytes::float8 as out_bytes, h.cpu_ms::float8 as cpu_ms, h.last_output_at, h.head_sha, h.commits_ahead,
  h.needs_input, h.progress_at, h.nudged_at, h.dead_probes, h.observed_at`;

/**
 * Writes a host's whole batch. It drops facts about another dispatch than the current one, because a host that comes back
 * must not report for an attempt that has moved. It derives what only a sequence shows: progress, consecutive dead probes.
 */
export async function upsertFacts(tx: Tx, host: string, batch: readonly AgentFacts[]): Promise<number> {
  if (batch.length === 0) return 0;
  return tx.run`
    insert into heartbeats as old (task_id, tenant_id, operator_id, attempt, dispatch_id, host, pane, process, pid,
      heartbeat_at, heartbeat_status, exit, out_bytes, cpu_ms, last_output_at, head_sha, commits_ahead, dead_probes,
      progress_at, observed_at)
    select distinct on (t.id) t.id, t.tenant_id, t.operator_id, f.attempt, f."dispatchId", ${host}, f.pane, f.process, f.pid,
      f."heartbeatAt", f."heartbeatStatus", f.exit, f."outBytes", f."cpuMs", f."lastOutputAt", f."headSha",
      f."commitsAhead", (f.process = 'dead' and f.pane in ('dead', 'missing'))::int, now(), now()
    from jsonb_to_recordset(${JSON.stringify(batch)}::jsonb) as f ("taskId" uuid, attempt int, "dispatchId" uuid,
      pane text, process text, pid int, "heartbeatAt" timestamptz, "heartbeatStatus" text, exit jsonb, "outBytes" bigint,
      "cpuMs" bigint, "lastOutputAt" timestamptz, "headSha" text, "commitsAhead" int)
      join fleet_tasks t on t.id = f."taskId" and t.dispatch_id = f."dispatchId" and t.attempt = f.attempt
    order by t.id
    on conflict (task_id) do update set
      attempt = excluded.attempt, dispatch_id = excluded.dispatch_id, host = excluded.host, pane = excluded.pane,
      process = excluded.process, pid = excluded.pid, heartbeat_at = excluded.heartbeat_at,
      heartbeat_status = excluded.heartbeat_status, exit = excluded.exit, out_bytes = excluded.out_bytes,
      cpu_ms = excluded.cpu_ms, last_output_at = excluded.last_output_at,
      head_sha = coalesce(excluded.head_sha, old.head_sha), commits_ahead = excluded.commits_ahead,
      dead_probes = case when excluded.dead_probes = 0 then 0
        when old.dispatch_id = excluded.dispatch_id then old.dead_probes + 1 else 1 end,
      progress_at = case when old.dispatch_id = excluded.dispatch_id and old.out_bytes = excluded.out_bytes
        and old.cpu_ms = excluded.cpu_ms and old.head_sha is not distinct from coalesce(excluded.head_sha, old.head_sha)
        then old.progress_at else now() end,
      nudged_at = case when old.dispatch_id = excluded.dispatch_id then old.nudged_at end,
      needs_input = case when old.dispatch_id = excluded.dispatch_id then old.needs_input end,
      observed_at = now()`;
}

export async function listFacts(tx: Tx, taskIds: readonly string[]): Promise<StoredAgentFacts[]> {
  return tx.many(StoredAgentFacts)`select ${columns} from heartbeats h where h.task_id = any(${taskIds}::uuid[])`;
}

export async function markNudged(tx: Tx, taskId: string): Promise<void> {
  await tx.run`update heartbeats set nudged_at = now() where task_id = ${taskId}`;
}

/** Lists the agents of this host that wrote output in its last tick or wait for input: only their output has to be read again. */
export async function listActiveAgents(tx: Tx, host: string): Promise<{ taskId: string; attempt: number }[]> {
  return tx.many(ActiveAgent)`
    select task_id, attempt from heartbeats
    where host = ${host} and process = 'alive' and (progress_at = observed_at or needs_input is not null)`;
}

/** Stores each agent's current question; null: none, or no longer. */
export async function markQuestions(
  tx: Tx,
  questions: readonly { readonly taskId: string; readonly question: unknown }[],
): Promise<void> {
  await tx.run`
    update heartbeats h set needs_input = nullif(q.question, 'null'::jsonb)
    from jsonb_to_recordset(${JSON.stringify(questions)}::jsonb) as q ("taskId" uuid, question jsonb)
    where h.task_id = q."taskId" and h.needs_input is distinct from nullif(q.question, 'null'::jsonb)`;
}
