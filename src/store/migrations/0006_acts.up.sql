-- 0006 expand: the acts that must be one round trip: admit, transition, re-admit, audit. All run as their caller (row
-- level security applies inside); each takes an optional context, entered first, so that no extra trip is needed.
set local role fleet_owner;

-- Which channels hear of an operator's tasks: the operator's own choice, else the tenant's, else what the note says, else
-- the terminal alone.
create function fleet_channels(p_tenant text, p_operator text, p_otherwise jsonb) returns setof text
language sql stable as $$
  select jsonb_array_elements_text(coalesce(
    (select value from fleet_config where tenant_id = p_tenant and operator_id = p_operator and key = 'notify.channels'),
    (select value from fleet_config where tenant_id = p_tenant and operator_id = '*' and key = 'notify.channels'),
    p_otherwise, '["terminal"]'::jsonb))
$$;

-- Moves or patches tasks: row, audit entry, outbox rows, notifications and attempt, all or nothing. p_batch is an array of
--   {ord, id, from, to|null, version, bump, actor, action, detail, patch, leaseMs, dueMs, hints, events, notes}
-- (`to` null: no state change; `bump`: new epoch without one). A row whose version or state is another is left out of the
-- answer; an illegal way raises and undoes the whole batch.
create function fleet_transition(p_context jsonb, p_batch jsonb)
returns table (ord integer, version integer, epoch integer, audit_seq integer, audit_head text, lease_until timestamptz,
  due_at timestamptz, spawned_at timestamptz, completed_at timestamptz, condition_since timestamptz, updated_at timestamptz)
language plpgsql as $$
begin
  if p_context is not null then perform fleet_enter(p_context); end if;
  return query
  with ask as materialized (
    select * from jsonb_to_recordset(p_batch) as a (ord integer, id uuid, "from" text, "to" text, version integer,
      bump boolean, actor text, action text, detail jsonb, patch jsonb, "leaseMs" double precision,
      "dueMs" double precision, hints jsonb, events jsonb, notes jsonb)
  ), moved as (
    update fleet_tasks t set
      status = coalesce(ask."to", t.status),
      version = t.version + 1,
      epoch = t.epoch + (ask."to" is not null or coalesce(ask.bump, false))::int,
      (host, agent_type, model, routing_reason, branch, workspace_path, container_id, tmux_session, condition,
       condition_detail, attempt, dispatch_id, waiting_for, pr_number, pr_url, head_sha, ci_status, review_status,
       done_status, retry_count, spend, context_hash, failure_context, metadata, removed_at) =
      (select r.host, r.agent_type, r.model, r.routing_reason, r.branch, r.workspace_path, r.container_id,
         r.tmux_session, r.condition, r.condition_detail, r.attempt, r.dispatch_id, r.waiting_for, r.pr_number, r.pr_url,
         r.head_sha, r.ci_status, r.review_status, r.done_status, r.retry_count, r.spend, r.context_hash,
         r.failure_context, r.metadata, r.removed_at
       from jsonb_populate_record(t, coalesce(ask.patch, '{}')) as r),
      condition_since = case when ask.patch ? 'condition' and ask.patch->>'condition' <> t.condition
        then now() else t.condition_since end,
      -- Database time, so that hosts with different clocks agree when a lease ends.
      lease_until = case when ask."leaseMs" is not null then now() + ask."leaseMs" * interval '1 ms'
        when ask."to" is not null then null else t.lease_until end,
      due_at = case when ask."dueMs" is not null then now() + ask."dueMs" * interval '1 ms'
        when ask."to" is not null then null else t.due_at end,
      spawned_at = case when ask."to" = 'spawning' then now() else t.spawned_at end,
      completed_at = case when ask."to" in ('merged', 'abandoned', 'cancelled') then now() else t.completed_at end,
      audit_seq = t.audit_seq + 1,
      audit_head = fleet_audit_hash(t.audit_head, t.audit_seq + 1, now(), ask.actor, ask.action, ask.detail),
      updated_at = now()
    from ask
    where t.id = ask.id and t.version = ask.version and t.status = ask."from"
    returning ask.ord, t.*, ask.actor, ask.action, ask.detail, ask."to" as moved_to, ask.hints, ask.events, ask.notes
  ), audited as (
    insert into audit_log (tenant_id, operator_id, chain, seq, task_id, actor, action, detail, hash)
    select m.tenant_id, m.operator_id, 'task:' || m.id, m.audit_seq, m.id, m.actor, m.action, m.detail, m.audit_head
    from moved m
  ), began as (
    insert into attempts (task_id, attempt, tenant_id, operator_id, dispatch_id, host, agent_type, model)
    select m.id, m.attempt, m.tenant_id, m.operator_id, m.dispatch_id, m.host, m.agent_type, m.model
    from moved m where m.moved_to = 'spawning'
    on conflict on constraint attempts_pkey do nothing
  ), ended as (
    update attempts a set
      running_at = case when m.moved_to = 'running' then now() else a.running_at end,
      ended_at = case when m.moved_to = 'running' then null else coalesce(a.ended_at, now()) end,
      outcome = m.moved_to,
      start_sha = coalesce(m.metadata->'saga'->>'startSha', a.start_sha),
      head_sha = coalesce(m.head_sha, a.head_sha),
      context_hash = coalesce(m.context_hash, a.context_hash),
      failure_context = case when m.moved_to in ('failed', 'rejected') then m.failure_context else a.failure_context end
    from moved m
    where a.task_id = m.id and a.attempt = m.attempt
      and m.moved_to in ('running', 'pr_created', 'ready', 'failed', 'rejected', 'cancelled', 'merged', 'abandoned')
  ), noted as (
    insert into fleet_notifications (tenant_id, operator_id, task_id, type, channel, dedup_key, summary, facts)
    select m.tenant_id, m.operator_id, m.id, note->>'type', channel,
      m.id || '/' || (note->>'type') || '/v' || m.version, note->>'summary', coalesce(note->'facts', '{}')
    from moved m
      cross join lateral jsonb_array_elements(m.notes) as note
      cross join lateral fleet_channels(m.tenant_id, m.operator_id, note->'channels') as channel
    where m.notes is not null
    on conflict on constraint fleet_notifications_dedup do nothing
    returning id, tenant_id, operator_id, task_id
  ), told as (
    insert into outbox (tenant_id, operator_id, task_id, topic, dedup_key, payload, run_at, processed_at)
    select m.tenant_id, m.operator_id, m.id, hint.topic, hint."dedupKey", hint.payload,
      case when hint."delayMs" is not null then now() + hint."delayMs" * interval '1 ms' end, null
    from moved m cross join lateral jsonb_to_recordset(m.hints) as hint (topic text, "dedupKey" text, payload jsonb,
      "delayMs" double precision)
    where m.hints is not null
    union all
    select m.tenant_id, m.operator_id, m.id, 'event', 'event_' || (event->>'id'), event, null, now()
    from moved m cross join lateral jsonb_array_elements(m.events) as event where m.events is not null
    union all
    select n.tenant_id, n.operator_id, n.task_id, 'notify', 'notify_' || n.id || '_e1',
      jsonb_build_object('notificationId', n.id, 'epoch', 1), null, null
    from noted n
    on conflict on constraint outbox_dedup_key do nothing
  )
  select m.ord, m.version, m.epoch, m.audit_seq, m.audit_head, m.lease_until, m.due_at, m.spawned_at, m.completed_at,
    m.condition_since, m.updated_at
  from moved m;
end $$;

-- An act without a task (a refusal, a login, a setting): its own chain per operator.
create function fleet_audit(p_operator text, p_actor text, p_action text, p_detail jsonb) returns void
language sql as $$
  with moved as (
    update operators o set audit_seq = o.audit_seq + 1,
      audit_head = fleet_audit_hash(o.audit_head, o.audit_seq + 1, now(), p_actor, p_action, p_detail)
    where o.id = p_operator
    returning o.*
  )
  insert into audit_log (tenant_id, operator_id, chain, seq, actor, action, detail, hash)
  select tenant_id, id, 'operator:' || id, audit_seq, p_actor, p_action, p_detail, audit_head from moved
$$;

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

-- Back into the states that hold a slot (failed or rejected → retrying): the same gate, then the transition.
create function fleet_readmit(p_context jsonb, p_operator text, p_limit integer, p_batch jsonb)
returns table (ord integer, version integer, epoch integer, audit_seq integer, audit_head text, lease_until timestamptz,
  due_at timestamptz, spawned_at timestamptz, completed_at timestamptz, condition_since timestamptz, updated_at timestamptz)
language plpgsql as $$
begin
  if p_context is not null then perform fleet_enter(p_context); end if;
  update slots s set active = s.active + 1 where s.operator_id = p_operator and s.active < p_limit;
  if not found then raise exception 'no free slot' using errcode = 'FW002'; end if;
  return query select * from fleet_transition(null, p_batch);
  -- Stale: undo the slot as well.
  if not found then raise exception 'stale version' using errcode = 'FW003'; end if;
end $$;

reset role;
