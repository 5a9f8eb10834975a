-- The only gate into the states that hold a slot. The operator's slot row is locked first, so requests of one operator
-- queue here and nowhere else; same key and same request gives the task that exists.
create or replace function fleet_admit(p_context jsonb, p_task jsonb, p_limit integer, p_hints jsonb, p_event jsonb)
returns table (outcome text, held integer, task_id uuid, cap jsonb) language plpgsql as $$
declare
  asked fleet_tasks := jsonb_populate_record(null::fleet_tasks, p_task);
  active_now integer;
  known record;
  over jsonb;
begin
  if p_context is not null then perform fleet_enter(p_context); end if;

  select s.active into active_now from slots s where s.operator_id = asked.operator_id for update;
  if not found then return query select 'unknown_operator', 0, null::uuid, null::jsonb; return; end if;

  if asked.idempotency_key is not null then
    select t.id, t.request_hash into known from fleet_tasks t
    where t.operator_id = asked.operator_id and t.idempotency_key = asked.idempotency_key;
    if found then
      return query select case when known.request_hash = asked.request_hash then 'repeated' else 'key_reused' end,
        active_now, known.id, null::jsonb;
      return;
    end if;
  end if;

  if active_now >= p_limit then
    perform fleet_audit(asked.operator_id, asked.operator_id, 'spawn.denied',
      jsonb_build_object('limit', p_limit, 'held', active_now, 'repository', asked.repository));
    return query select 'denied', active_now, null::uuid, null::jsonb;
    return;
  end if;

  -- Where no budget was set this is one look into an index, and locks nothing that operators share.
  if exists (select from budgets b where b.tenant_id = asked.tenant_id and b.operator_id in (asked.operator_id, '*')) then
    over := coalesce(fleet_over_budget(asked.tenant_id, asked.operator_id, asked.budget),
      fleet_take_daily_task(asked.tenant_id, asked.operator_id));
    if over is not null then
      perform fleet_audit(asked.operator_id, asked.operator_id, 'spawn.denied', over || jsonb_build_object('repository', asked.repository));
      return query select 'capped', active_now, null::uuid, over;
      return;
    end if;
  end if;

  update slots s set active = s.active + 1 where s.operator_id = asked.operator_id;
  insert into fleet_tasks (id, tenant_id, operator_id, agent_type, model, routing_reason, task_type, title, description,
    repository, base_branch, branch, max_retries, timeout_minutes, metadata, idempotency_key, request_hash, waiting_for,
    due_at, trace_id, budget, audit_seq, audit_head)
  select asked.id, asked.tenant_id, asked.operator_id, asked.agent_type, asked.model, asked.routing_reason,
    asked.task_type, asked.title, asked.description, asked.repository, asked.base_branch, asked.branch,
    asked.max_retries, asked.timeout_minutes, asked.metadata, asked.idempotency_key, asked.request_hash,
    asked.waiting_for, now(), asked.trace_id, coalesce(asked.budget, '{}'), 1,
    fleet_audit_hash('', 1, now(), asked.operator_id, 'spawn.asked', jsonb_build_object('to', 'proposed', 'held', active_now + 1));
  insert into audit_log (tenant_id, operator_id, chain, seq, task_id, actor, action, detail, hash)
  select t.tenant_id, t.operator_id, 'task:' || t.id, 1, t.id, t.operator_id, 'spawn.asked',
    jsonb_build_object('to', 'proposed', 'held', active_now + 1), t.audit_head
  from fleet_tasks t where t.id = asked.id;
  insert into outbox (tenant_id, operator_id, task_id, topic, dedup_key, payload, processed_at)
  select asked.tenant_id, asked.operator_id, asked.id, hint.topic, hint."dedupKey", hint.payload, null
  from jsonb_to_recordset(p_hints) as hint (topic text, "dedupKey" text, payload jsonb)
  union all
  select asked.tenant_id, asked.operator_id, asked.id, 'event', 'event_' || (p_event->>'id'), p_event, now();
  return query select 'admitted', active_now + 1, asked.id, null::jsonb;
end $$;
