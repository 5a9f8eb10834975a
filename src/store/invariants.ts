/** What the invariants look for: statements that find violations, a sentence each. All empty in a healthy fleet. */
import { z } from "zod";
import type { Tier } from "../domain/operator.ts";
import type { TaskStatus } from "../domain/task/task.ts";
import type { Tx } from "./sql.ts";

const Violation = z.object({ violation: z.string() });

/** Enough to act on; a broken house need not print a million lines. */
const MAX_VIOLATIONS = 100;

async function readViolations(rows: Promise<readonly z.output<typeof Violation>[]>): Promise<string[]> {
  return (await rows).map(({ violation }) => violation);
}

export function listOverTierSlots(tx: Tx, limits: Readonly<Record<Tier, number>>): Promise<string[]> {
  // A limit that was lowered later blocks new admissions and violates nothing: compare with what was allowed at admission.
  return readViolations(
    tx.many(Violation)`
      select s.operator_id || ' holds ' || s.active || ' slots; tier ' || o.tier || ' allows ' || l.value as violation
      from slots s join operators o on o.id = s.operator_id
        join jsonb_each_text(${JSON.stringify(limits)}::jsonb) as l on l.key = o.tier
      where s.active > l.value::int and o.updated_at < (select max(t.created_at) from fleet_tasks t where t.operator_id = o.id)
      limit ${MAX_VIOLATIONS}`,
  );
}

export function listUnregisteredAgents(tx: Tx): Promise<string[]> {
  return readViolations(
    tx.many(Violation)`
      select 'an agent of task ' || h.task_id || ' was seen on ' || h.host || ' without its attempt' as violation
      from heartbeats h left join attempts a on a.task_id = h.task_id and a.attempt = h.attempt
      where h.process = 'alive' and (a.task_id is null or a.started_at > h.observed_at) limit ${MAX_VIOLATIONS}`,
  );
}

export function listUnauditedEnds(tx: Tx, terminal: readonly TaskStatus[]): Promise<string[]> {
  return readViolations(
    tx.many(Violation)`
      select t.id || ' is ' || t.status || ' and the log does not say how' as violation from fleet_tasks t
      where t.status = any(${terminal}) and not exists (
        select from audit_log a where a.chain = 'task:' || t.id and a.detail->>'to' = t.status)
      limit ${MAX_VIOLATIONS}`,
  );
}

export function listOverRetriedTasks(tx: Tx): Promise<string[]> {
  return readViolations(
    tx.many(Violation)`
      select id || ' was retried ' || retry_count || ' times of ' || max_retries as violation
      from fleet_tasks where retry_count > max_retries limit ${MAX_VIOLATIONS}`,
  );
}

export function listUnnotifiedEnds(tx: Tx, terminal: readonly TaskStatus[]): Promise<string[]> {
  // By the key, which says what the row was written for: one that came to speak for several has another type by then.
  return readViolations(
    tx.many(Violation)`
      select t.id || ' is ' || t.status || ' and nobody was to be told' as violation from fleet_tasks t
      where t.status = any(${terminal}) and not exists (
        select from fleet_notifications n where n.task_id = t.id
          and split_part(n.dedup_key, '/', 2) in ('merged', 'abandoned', 'cancelled'))
      limit ${MAX_VIOLATIONS}`,
  );
}

export function listStrandedTasks(tx: Tx, recoveryMs: number): Promise<string[]> {
  return readViolations(
    tx.many(Violation)`
      select t.id || ' is ' || t.status || ' since ' || t.updated_at || ' and nobody is due to move it' as violation
      from fleet_tasks t
      where t.updated_at < now() - ${recoveryMs}::float8 * interval '1 ms' and (
        (t.status in ('proposed', 'retrying') and t.waiting_for is null)
        or (t.status in ('failed', 'rejected') and t.waiting_for is null and t.condition <> 'needs_input')
        or (t.status = 'spawning' and t.lease_until < now() - ${recoveryMs}::float8 * interval '1 ms'
          and exists (select from hosts h where h.id = t.host and h.lease_until > now())))
        -- Stopped on purpose: its release moves it.
        and not coalesce(t.condition = 'paused' and (t.condition_detail #>> '{estop,by}' = 'fleet.yaml' or exists (
          select from kill_switches k where k.tenant_id in (t.tenant_id, '*')
            and k.scope = t.condition_detail #>> '{estop,scope}' and k.subject = t.condition_detail #>> '{estop,subject}')), false)
      limit ${MAX_VIOLATIONS}`,
  );
}

export function listDuplicateAttempts(tx: Tx, recoveryMs: number): Promise<string[]> {
  return readViolations(
    tx.many(Violation)`
      select a.task_id || ' has attempt ' || a.attempt || ' open beside its current ' || t.attempt as violation
      from attempts a join fleet_tasks t on t.id = a.task_id
        join heartbeats h on h.task_id = t.id and h.attempt = t.attempt and h.process = 'alive'
      where a.closed_at is null and a.attempt < t.attempt
        and h.observed_at > a.started_at + ${recoveryMs}::float8 * interval '1 ms' limit ${MAX_VIOLATIONS}`,
  );
}

export function listDuplicateEffects(tx: Tx): Promise<string[]> {
  return readViolations(
    tx.many(Violation)`
      select 'branch ' || head_branch || ' has ' || count(*) || ' open pull requests' as violation from pull_requests
      where state = 'open' group by repository, head_branch having count(*) > 1
      union all
      select 'task ' || task_id || ' was delivered by ' || count(*) || ' merged pull requests' from pull_requests
      where state = 'merged' group by task_id having count(*) > 1
      union all
      select 'task ' || task_id || ' came to ' || (detail->>'to') || ' ' || count(*) || ' times' from audit_log
      where detail->>'to' in ('merged', 'abandoned', 'cancelled') and task_id is not null
      group by task_id, detail->>'to' having count(*) > 1
      limit ${MAX_VIOLATIONS}`,
  );
}

export function listSlotMismatches(tx: Tx, holding: readonly TaskStatus[]): Promise<string[]> {
  return readViolations(
    tx.many(Violation)`
      select s.operator_id || ' has ' || s.active || ' slots in use; ' || count(t.id) || ' tasks hold one' as violation
      from slots s left join fleet_tasks t on t.operator_id = s.operator_id and t.status = any(${holding})
      group by s.operator_id, s.active having s.active <> count(t.id) limit ${MAX_VIOLATIONS}`,
  );
}

export function listStuckOutboxRows(tx: Tx, recoveryMs: number): Promise<string[]> {
  return readViolations(
    tx.many(Violation)`
      select 'outbox row ' || id || ' (' || topic || ') ' || case when dead_at is not null then 'is dead: ' ||
        coalesce(last_error, '') else 'waits since ' || created_at end as violation
      from outbox where processed_at is null
        and (dead_at is not null or next_attempt_at < now() - ${recoveryMs}::float8 * interval '1 ms') limit ${MAX_VIOLATIONS}`,
  );
}

export function listIllegalTransitions(
  tx: Tx,
  allowed: Readonly<Record<TaskStatus, readonly TaskStatus[]>>,
): Promise<string[]> {
  return readViolations(
    tx.many(Violation)`
      select a.task_id || ' went from ' || (a.detail->>'from') || ' to ' || (a.detail->>'to') as violation
      from audit_log a
      where a.detail->>'from' is not null and a.detail->>'from' <> a.detail->>'to'
        and not (${JSON.stringify(allowed)}::jsonb -> (a.detail->>'from')) ? (a.detail->>'to') limit ${MAX_VIOLATIONS}`,
  );
}

export function listAbandonedOrders(tx: Tx, recoveryMs: number): Promise<string[]> {
  return readViolations(
    tx.many(Violation)`
      select 'order ' || o.id || ' runs without a lease since ' || o.updated_at as violation from work_orders o
      where o.status = 'running'
        and coalesce(o.lease_until, o.updated_at) < now() - ${recoveryMs}::float8 * interval '1 ms'
      union all
      select 'batch ' || o.batch_id || ' stands still with order ' || o.id from work_orders o
      where o.status = 'pending' and o.requested_at is not null and o.due_at is null and not exists (
        select from work_orders b where b.batch_id = o.batch_id
          and (b.status = 'running' or (b.status = 'pending' and b.due_at is not null)))
      union all
      select 'order ' || o.id || ' is ' || o.status || ' without a run that says so' from work_orders o
      where o.status in ('completed', 'failed') and o.reason is null
        and not exists (select from runs r where r.order_id = o.id and r.status in ('success', 'failed'))
      limit ${MAX_VIOLATIONS}`,
  );
}
