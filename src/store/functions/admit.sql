-- Admits a task into the states that hold a slot, if the operator's slots, budget and daily cap allow it. It locks the
-- operator's slot row first, so that only requests of the same operator wait for each other. The same key with the same
-- request returns the existing task. It runs as its caller, so row security applies, and enters `p_context` first if given,
-- which saves a round trip.
create or replace function fleet_admit(p_context jsonb, p_task jsonb, p_limit integer, p_hints jsonb, p_event jsonb)
returns table (outcome text, held integer, task_id uuid, cap jsonb) language plpgsql as $$
declare
  new_task fleet_tasks := jsonb_populate_record(null::fleet_tasks, p_task);
  active_now integer;
  existing record;
  over jsonb;
begin
  if p_context is not null then perform fleet_enter(p_context); end if;

  select s.active into active_now from slots s where s.operator_id = new_task.operator_id for update;
  if not found then return query select 'unknown_operator', 0, null::uuid, null::jsonb; return; end if;

  if new_task.idempotency_key is not null then
    select t.id, t.request_hash into existing from fleet_tasks t
    where t.operator_id = new_task.operator_id and t.idempotency_key = new_task.idempotency_key;
    if found then
      return query select case when existing.request_hash = new_task.request_hash then 'repeated' else 'key_reused' end,
        active_now, existing.id, null::jsonb;
      return;
    end if;
  end if;

  if active_now >= p_limit then
    perform fleet_audit(new_task.operator_id, new_task.operator_id, 'spawn.denied',
      jsonb_build_object('limit', p_limit, 'held', active_now, 'repository', new_task.repository));
    return query select 'denied', active_now, null::uuid, null::jsonb;
    return;
  end if;

  -- Without a budget this is one index lookup, and locks no row that operators share.
  if exists (select from budgets b where b.tenant_id = new_task.tenant_id and b.operator_id in (new_task.operator_id, '*')) then
    over := coalesce(fleet_over_budget(new_task.tenant_id, new_task.operator_id, new_task.budget),
      fleet_take_daily_task(new_task.tenant_id, new_task.operator_id));
    if over is not null then
      perform fleet_audit(new_task.operator_id, new_task.operator_id, 'spawn.denied', over || jsonb_build_object('repository', new_task.repository));
      return query select 'capped', active_now, null::uuid, over;
      return;
    end if;
  end if;

  update slots s set active = s.active + 1 where s.operator_id = new_task.operator_id;
  insert into fleet_tasks (id, tenant_id, operator_id, agent_type, model, routing_reason, task_type, title, description,
    repository, base_branch, branch, max_retries, timeout_minutes, metadata, idempotency_key, request_hash, waiting_for,
    due_at, trace_id, budget, audit_seq, audit_head)
  select new_task.id, new_task.tenant_id, new_task.operator_id, new_task.agent_type, new_task.model, new_task.routing_reason,
    new_task.task_type, new_task.title, new_task.description, new_task.repository, new_task.base_branch, new_task.branch,
    new_task.max_retries, new_task.timeout_minutes, new_task.metadata, new_task.idempotency_key, new_task.request_hash,
    new_task.waiting_for, now(), new_task.trace_id, coalesce(new_task.budget, '{}'), 1,
    fleet_audit_hash('', 1, now(), new_task.operator_id, 'spawn.asked', jsonb_build_object('to', 'proposed', 'held', active_now + 1));
  insert into audit_log (tenant_id, operator_id, chain, seq, task_id, actor, action, detail, hash)
  select t.tenant_id, t.operator_id, 'task:' || t.id, 1, t.id, t.operator_id, 'spawn.asked',
    jsonb_build_object('to', 'proposed', 'held', active_now + 1), t.audit_head
  from fleet_tasks t where t.id = new_task.id;
  insert into outbox (tenant_id, operator_id, task_id, topic, dedup_key, payload, processed_at)
  select new_task.tenant_id, new_task.operator_id, new_task.id, hint.topic, hint."dedupKey", hint.payload, null
  from jsonb_to_recordset(p_hints) as hint (topic text, "dedupKey" text, payload jsonb)
  union all
  select new_task.tenant_id, new_task.operator_id, new_task.id, 'event', 'event_' || (p_event->>'id'), p_event, now();
  return query select 'admitted', active_now + 1, new_task.id, null::jsonb;
end $$;
