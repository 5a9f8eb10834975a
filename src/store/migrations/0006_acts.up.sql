-- 0006 expand: the acts that must be one round trip: admit, transition, re-admit, audit. All run as their caller (row
-- level security applies inside); each takes an optional context, entered first, so that no extra trip is needed.
set local role fleet_owner;

-- Which channels hear of an operator's tasks: the operator's own choice, else the tenant's, else what the note says, else
-- the terminal alone. What is no list of names, or an empty one, is no choice: a setting must neither stop a transition
-- nor let an end go unrecorded.
create function fleet_channels(p_tenant text, p_operator text, p_otherwise jsonb) returns setof text
language sql stable as $$
  select channel from jsonb_array_elements_text(coalesce(
    (select value from fleet_config where tenant_id = p_tenant and operator_id = p_operator and key = 'notify.channels'
       and jsonb_typeof(value) = 'array' and value <> '[]'),
    (select value from fleet_config where tenant_id = p_tenant and operator_id = '*' and key = 'notify.channels'
       and jsonb_typeof(value) = 'array' and value <> '[]'),
    case when jsonb_typeof(p_otherwise) = 'array' and p_otherwise <> '[]' then p_otherwise end,
    '["terminal"]'::jsonb)) as channel
  where channel is not null
$$;

-- Moves or patches tasks: row, audit entry, outbox rows, notifications and attempt, all or nothing. p_batch is an array of
--   {ord, id, from, to|null, version, bump, actor, action, detail, patch, leaseMs, dueMs, hints, events, notes}
-- (`to` null: no state change; `bump`: new epoch without one). A row whose version or state is another is left out of the
-- answer; an illegal way raises and undoes the whole batch.
create function fleet_transition(p_context jsonb, p_batch jsonb)
returns table (ord integer, version integer, epoch integer, audit_seq integer, audit_head text, lease_until timestamptz,
  due_at timestamptz, spawned_at timestamptz, completed_at timestamptz, condition_since timestamptz, updated_at timestamptz)
-- Always by index, tasks in the order of the batch: a plan made while the tables were small would read them whole for
-- ever after, and would lock rows in any order.
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
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
      -- Key by key rather than by jsonb_populate_record: that one unpacks the whole row, long description and all.
      agent_type = coalesce(ask.patch->>'agent_type', t.agent_type),
      branch = coalesce(ask.patch->>'branch', t.branch),
      condition = coalesce(ask.patch->>'condition', t.condition),
      attempt = coalesce((ask.patch->>'attempt')::int, t.attempt),
      ci_status = coalesce(ask.patch->>'ci_status', t.ci_status),
      retry_count = coalesce((ask.patch->>'retry_count')::int, t.retry_count),
      spend = coalesce(ask.patch->'spend', t.spend),
      metadata = coalesce(ask.patch->'metadata', t.metadata),
      host = case when ask.patch ? 'host' then ask.patch->>'host' else t.host end,
      model = case when ask.patch ? 'model' then ask.patch->>'model' else t.model end,
      routing_reason = case when ask.patch ? 'routing_reason' then ask.patch->>'routing_reason' else t.routing_reason end,
      workspace_path = case when ask.patch ? 'workspace_path' then ask.patch->>'workspace_path' else t.workspace_path end,
      container_id = case when ask.patch ? 'container_id' then ask.patch->>'container_id' else t.container_id end,
      tmux_session = case when ask.patch ? 'tmux_session' then ask.patch->>'tmux_session' else t.tmux_session end,
      condition_detail = case when ask.patch ? 'condition_detail' then nullif(ask.patch->'condition_detail', 'null') else t.condition_detail end,
      dispatch_id = case when ask.patch ? 'dispatch_id' then (ask.patch->>'dispatch_id')::uuid else t.dispatch_id end,
      waiting_for = case when ask.patch ? 'waiting_for' then ask.patch->>'waiting_for' else t.waiting_for end,
      pr_number = case when ask.patch ? 'pr_number' then (ask.patch->>'pr_number')::int else t.pr_number end,
      pr_url = case when ask.patch ? 'pr_url' then ask.patch->>'pr_url' else t.pr_url end,
      head_sha = case when ask.patch ? 'head_sha' then ask.patch->>'head_sha' else t.head_sha end,
      review_status = case when ask.patch ? 'review_status' then nullif(ask.patch->'review_status', 'null') else t.review_status end,
      done_status = case when ask.patch ? 'done_status' then nullif(ask.patch->'done_status', 'null') else t.done_status end,
      context_hash = case when ask.patch ? 'context_hash' then ask.patch->>'context_hash' else t.context_hash end,
      failure_context = case when ask.patch ? 'failure_context' then nullif(ask.patch->'failure_context', 'null') else t.failure_context end,
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
    returning ask.ord, t.id, t.tenant_id, t.operator_id, t.version, t.epoch, t.attempt, t.dispatch_id, t.host, t.agent_type,
      t.model, t.head_sha, t.context_hash, t.failure_context, t.audit_seq, t.audit_head, t.lease_until, t.due_at,
      t.spawned_at, t.completed_at, t.condition_since, t.updated_at, ask.actor, ask.action, ask.detail,
      ask."to" as moved_to, ask.hints, ask.events, ask.notes,
      case when ask."to" is not null then t.metadata->'saga'->>'startSha' end as start_sha
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
      start_sha = coalesce(m.start_sha, a.start_sha),
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

-- Back into the states that hold a slot (failed or rejected → retrying): the transition, which counts the slot, then the
-- same gate. In this order, because everybody locks tasks before slots; a refusal undoes both.
create function fleet_readmit(p_context jsonb, p_operator text, p_limit integer, p_batch jsonb)
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

reset role;
