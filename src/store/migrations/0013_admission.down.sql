-- 0013 down: the gate as it was.
set local role fleet_owner;

drop function fleet_admit(jsonb, jsonb, integer, jsonb, jsonb);

-- The only gate into the states that hold a slot. The operator's slot row is locked first, so requests of one operator
-- queue here and nowhere else; same key and same request gives the task that exists.
create function fleet_admit(p_context jsonb, p_task jsonb, p_limit integer, p_hints jsonb, p_event jsonb)
returns table (outcome text, held integer, task_id uuid) language plpgsql as $$
declare
  asked fleet_tasks := jsonb_populate_record(null::fleet_tasks, p_task);
  active_now integer;
  known record;
begin
  if p_context is not null then perform fleet_enter(p_context); end if;

  select s.active into active_now from slots s where s.operator_id = asked.operator_id for update;
  if not found then return query select 'unknown_operator', 0, null::uuid; return; end if;

  if asked.idempotency_key is not null then
    select t.id, t.request_hash into known from fleet_tasks t
    where t.operator_id = asked.operator_id and t.idempotency_key = asked.idempotency_key;
    if found then
      return query select case when known.request_hash = asked.request_hash then 'repeated' else 'key_reused' end,
        active_now, known.id;
      return;
    end if;
  end if;

  if active_now >= p_limit then
    perform fleet_audit(asked.operator_id, asked.operator_id, 'spawn.denied',
      jsonb_build_object('limit', p_limit, 'held', active_now, 'repository', asked.repository));
    return query select 'denied', active_now, null::uuid;
    return;
  end if;

  update slots s set active = s.active + 1 where s.operator_id = asked.operator_id;
  insert into fleet_tasks (id, tenant_id, operator_id, agent_type, model, routing_reason, task_type, title, description,
    repository, base_branch, branch, max_retries, timeout_minutes, metadata, idempotency_key, request_hash, waiting_for,
    due_at, trace_id, audit_seq, audit_head)
  select asked.id, asked.tenant_id, asked.operator_id, asked.agent_type, asked.model, asked.routing_reason,
    asked.task_type, asked.title, asked.description, asked.repository, asked.base_branch, asked.branch,
    asked.max_retries, asked.timeout_minutes, asked.metadata, asked.idempotency_key, asked.request_hash,
    asked.waiting_for, now(), asked.trace_id, 1,
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
  return query select 'admitted', active_now + 1, asked.id;
end $$;

-- Back into the states that hold a slot (failed or rejected → retrying): the transition, which counts the slot, then the
-- same gate. In this order, because everybody locks tasks before slots; a refusal undoes both.
create or replace function fleet_readmit(p_context jsonb, p_operator text, p_limit integer, p_batch jsonb)
returns table (ord integer, version integer, epoch integer, audit_seq integer, audit_head text, lease_until timestamptz,
  due_at timestamptz, spawned_at timestamptz, completed_at timestamptz, condition_since timestamptz, updated_at timestamptz)
language plpgsql as $$
begin
  if p_context is not null then perform fleet_enter(p_context); end if;
  return query select * from fleet_transition(null, p_batch);
  if not found then raise exception 'stale version' using errcode = 'FW003'; end if;
  if (select s.active from slots s where s.operator_id = p_operator) > p_limit then
    raise exception 'no free slot' using errcode = 'FW002';
  end if;
end $$;

drop function fleet_record_usage(jsonb);
drop function fleet_take_daily_task(text, text);
drop function fleet_over_budget(text, text, jsonb);
drop function fleet_today();
drop table checks;
drop table alerts;
drop index fleet_tasks_called;
drop index fleet_tasks_in_line;
drop table turns;
drop sequence turns_served;
alter table attempts drop column minutes;
alter table attempts drop column cost;
alter table attempts drop column tokens;
drop table spending;
drop table budgets;

reset role;
