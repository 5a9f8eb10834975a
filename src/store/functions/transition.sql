-- Moves or patches tasks: row, audit entry, outbox rows, notifications and attempt, all or nothing. p_batch is an array of
--   {ord, id, from, to|null, version, bump, actor, action, detail, patch, leaseMs, dueMs, hints, events, notes}
-- (`to` null: no change of state; `bump`: a new epoch without one). The result leaves out rows whose version or state has changed;
-- an illegal transition raises an error and undoes the whole batch. It runs as its caller, so row security applies, and enters
-- `p_context` first if given, which saves a round trip.
create or replace function fleet_transition(p_context jsonb, p_batch jsonb)
returns table (ord integer, version integer, epoch integer, audit_seq integer, audit_head text, lease_until timestamptz,
  due_at timestamptz, spawned_at timestamptz, completed_at timestamptz, condition_since timestamptz, updated_at timestamptz)
-- Always by index, tasks in the order of the batch: a plan that was cached while the tables were small would scan them, and
-- lock rows in any order.
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
language plpgsql as $$
begin
  if p_context is not null then perform fleet_enter(p_context); end if;
  return query
  with change as materialized (
    select * from jsonb_to_recordset(p_batch) as a (ord integer, id uuid, "from" text, "to" text, version integer,
      bump boolean, actor text, action text, detail jsonb, patch jsonb, "leaseMs" double precision,
      "dueMs" double precision, hints jsonb, events jsonb, notes jsonb)
  ), moved as (
    update fleet_tasks t set
      status = coalesce(change."to", t.status),
      version = t.version + 1,
      epoch = t.epoch + (change."to" is not null or coalesce(change.bump, false))::int,
      -- Key by key, because jsonb_populate_record would unpack the whole row with its long description.
      agent_type = coalesce(change.patch->>'agent_type', t.agent_type),
      branch = coalesce(change.patch->>'branch', t.branch),
      condition = coalesce(change.patch->>'condition', t.condition),
      attempt = coalesce((change.patch->>'attempt')::int, t.attempt),
      ci_status = coalesce(change.patch->>'ci_status', t.ci_status),
      retry_count = coalesce((change.patch->>'retry_count')::int, t.retry_count),
      spend = coalesce(change.patch->'spend', t.spend),
      metadata = coalesce(change.patch->'metadata', t.metadata),
      host = case when change.patch ? 'host' then change.patch->>'host' else t.host end,
      model = case when change.patch ? 'model' then change.patch->>'model' else t.model end,
      routing_reason = case when change.patch ? 'routing_reason' then change.patch->>'routing_reason' else t.routing_reason end,
      workspace_path = case when change.patch ? 'workspace_path' then change.patch->>'workspace_path' else t.workspace_path end,
      tmux_session = case when change.patch ? 'tmux_session' then change.patch->>'tmux_session' else t.tmux_session end,
      condition_detail = case when change.patch ? 'condition_detail' then nullif(change.patch->'condition_detail', 'null') else t.condition_detail end,
      dispatch_id = case when change.patch ? 'dispatch_id' then (change.patch->>'dispatch_id')::uuid else t.dispatch_id end,
      waiting_for = case when change.patch ? 'waiting_for' then change.patch->>'waiting_for' else t.waiting_for end,
      pr_number = case when change.patch ? 'pr_number' then (change.patch->>'pr_number')::int else t.pr_number end,
      pr_url = case when change.patch ? 'pr_url' then change.patch->>'pr_url' else t.pr_url end,
      head_sha = case when change.patch ? 'head_sha' then change.patch->>'head_sha' else t.head_sha end,
      review_status = case when change.patch ? 'review_status' then nullif(change.patch->'review_status', 'null') else t.review_status end,
      done_status = case when change.patch ? 'done_status' then nullif(change.patch->'done_status', 'null') else t.done_status end,
      context_hash = case when change.patch ? 'context_hash' then change.patch->>'context_hash' else t.context_hash end,
      failure_context = case when change.patch ? 'failure_context' then nullif(change.patch->'failure_context', 'null') else t.failure_context end,
      condition_since = case when change.patch ? 'condition' and change.patch->>'condition' <> t.condition
        then now() else t.condition_since end,
      -- By the database's clock, so that hosts with different clocks agree when a lease ends.
      lease_until = case when change."leaseMs" is not null then now() + change."leaseMs" * interval '1 ms'
        when change."to" is not null then null else t.lease_until end,
      due_at = case when change."dueMs" is not null then now() + change."dueMs" * interval '1 ms'
        when change."to" is not null then null else t.due_at end,
      spawned_at = case when change."to" = 'spawning' then now() else t.spawned_at end,
      completed_at = case when change."to" in ('merged', 'abandoned', 'cancelled') then now() else t.completed_at end,
      audit_seq = t.audit_seq + 1,
      audit_head = fleet_audit_hash(t.audit_head, t.audit_seq + 1, now(), change.actor, change.action, change.detail),
      updated_at = now()
    from change
    where t.id = change.id and t.version = change.version and t.status = change."from"
    returning change.ord, t.id, t.tenant_id, t.operator_id, t.version, t.epoch, t.attempt, t.dispatch_id, t.host, t.agent_type,
      t.model, t.head_sha, t.context_hash, t.failure_context, t.audit_seq, t.audit_head, t.lease_until, t.due_at,
      t.spawned_at, t.completed_at, t.condition_since, t.updated_at, change.actor, change.action, change.detail,
      change."to" as moved_to, change.hints, change.events, change.notes,
      case when change."to" is not null then t.metadata->'saga'->>'startSha' end as start_sha
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
  ), notified as (
    insert into fleet_notifications (tenant_id, operator_id, task_id, type, channel, dedup_key, summary, facts)
    select m.tenant_id, m.operator_id, m.id, note->>'type', channel,
      m.id || '/' || (note->>'type') || '/v' || m.version, note->>'summary', coalesce(note->'facts', '{}')
    from moved m
      cross join lateral jsonb_array_elements(m.notes) as note
      cross join lateral fleet_channels(m.tenant_id, m.operator_id, note->'channels') as channel
    where m.notes is not null
    on conflict on constraint fleet_notifications_dedup do nothing
    returning id, tenant_id, operator_id, task_id
  ), queued as (
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
    from notified n
    on conflict on constraint outbox_dedup_key do nothing
  )
  select m.ord, m.version, m.epoch, m.audit_seq, m.audit_head, m.lease_until, m.due_at, m.spawned_at, m.completed_at,
    m.condition_since, m.updated_at
  from moved m;
end $$;
