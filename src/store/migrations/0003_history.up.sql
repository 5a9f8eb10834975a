-- 0003 expand: what happened (audit), what must still be told (outbox, notifications), what was last seen (heartbeats).
set local role fleet_owner;

-- One chain per task (and per operator for acts without a task); the head is on the task's row, so chains never contend.
-- No foreign key to tasks: history outlives what it is about.
create table audit_log (
  id          bigint      not null generated always as identity,
  at          timestamptz not null default now(),
  tenant_id   text        not null,
  operator_id text        not null,
  chain       text        not null,
  seq         integer     not null,
  task_id     uuid,
  actor       text        not null,
  action      text        not null,
  detail      jsonb       not null,
  hash        text        not null,
  constraint audit_log_pkey primary key (id, at),
  constraint audit_log_owner_said check (tenant_id <> '' and operator_id <> ''),
  constraint audit_log_chain_said check (chain = coalesce('task:' || task_id, 'operator:' || operator_id))
) partition by range (at);
create table audit_log_rest partition of audit_log default;
create index audit_log_by_chain on audit_log (chain, seq);

-- Said to be stable, not immutable, so that it is inlined (a call of its own costs 10 times its work).
create function fleet_audit_hash(p_head text, p_seq integer, p_at timestamptz, p_actor text, p_action text, p_detail jsonb)
returns text language sql stable parallel safe as $$
  select encode(sha256(convert_to(concat_ws(E'\n', p_head, p_seq::text,
    to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), p_actor, p_action, p_detail::text), 'UTF8')), 'hex')
$$;

create function fleet_append_only() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'insufficient_privilege';
end $$;
create trigger audit_log_append_only before update or delete on audit_log
  for each row execute function fleet_append_only();
create trigger audit_log_not_truncated before truncate on audit_log
  for each statement execute function fleet_append_only();
create trigger audit_log_rest_not_truncated before truncate on audit_log_rest
  for each statement execute function fleet_append_only();

create table audit_checkpoints (
  id         bigint      not null generated always as identity,
  at         timestamptz not null default now(),
  heads      bigint      not null,
  digest     text        not null,
  key_id     text        not null,
  signature  text        not null,
  constraint audit_checkpoints_pkey primary key (id)
);

-- A row per thing that must still be told: topic = a queue (the relay adds the job) or 'event' (readers keep cursors).
-- `xid` orders events by commit visibility: what is below every running transaction can no longer change.
create table outbox (
  id              bigint      not null generated always as identity,
  xid             xid8        not null default pg_current_xact_id(),
  tenant_id       text        not null,
  operator_id     text        not null,
  task_id         uuid,
  topic           text        not null,
  dedup_key       text        not null,
  payload         jsonb       not null,
  created_at      timestamptz not null default now(),
  run_at          timestamptz,
  processed_at    timestamptz,
  retry_count     integer     not null default 0,
  next_attempt_at timestamptz not null default now(),
  last_error      text,
  dead_at         timestamptz,
  constraint outbox_pkey primary key (id),
  constraint outbox_dedup_key unique (dedup_key),
  constraint outbox_owner_said check (tenant_id <> '' and operator_id <> '')
) with (fillfactor = 80);
create index outbox_waiting on outbox (next_attempt_at, id) where processed_at is null and dead_at is null;
create index outbox_dead on outbox (dead_at) where dead_at is not null;
create index outbox_events on outbox (xid, id) where topic = 'event';
create index outbox_events_of_task on outbox (task_id, xid, id) where topic = 'event';
create index outbox_old on outbox (processed_at) where processed_at is not null;

create table fleet_notifications (
  id              uuid        not null default gen_random_uuid(),
  tenant_id       text        not null,
  operator_id     text        not null,
  task_id         uuid,
  type            text        not null,
  channel         text        not null,
  dedup_key       text        not null,
  summary         text        not null,
  facts           jsonb       not null default '{}',
  status          text        not null default 'pending',
  epoch           integer     not null default 1,
  tries           integer     not null default 0,
  last_error      text,
  due_at          timestamptz not null default now(),
  delivered_at    timestamptz,
  created_at      timestamptz not null default now(),
  constraint fleet_notifications_pkey primary key (id),
  constraint fleet_notifications_dedup unique (dedup_key, channel),
  constraint fleet_notifications_task foreign key (task_id, tenant_id, operator_id)
    references fleet_tasks (id, tenant_id, operator_id) on delete cascade,
  constraint fleet_notifications_status_known check (status in ('pending', 'delivered', 'failed', 'merged')),
  constraint fleet_notifications_owner_said check (tenant_id <> '' and operator_id <> '')
);
create index fleet_notifications_by_task on fleet_notifications (task_id);
create index fleet_notifications_by_operator on fleet_notifications (operator_id, created_at desc);
create index fleet_notifications_pending on fleet_notifications (due_at) where status = 'pending';

-- The latest facts about one task's agent, written by its host in one statement per tick.
create table heartbeats (
  task_id          uuid        not null,
  tenant_id        text        not null,
  operator_id      text        not null,
  attempt          integer     not null,
  dispatch_id      uuid        not null,
  host             text        not null,
  pane             text        not null,
  process          text        not null,
  pid              integer,
  heartbeat_at     timestamptz,
  heartbeat_status text,
  exit             jsonb,
  out_bytes        bigint      not null default 0,
  cpu_ms           bigint      not null default 0,
  last_output_at   timestamptz,
  head_sha         text,
  commits_ahead    integer     not null default 0,
  needs_input      jsonb,
  -- When output, CPU or commits last moved; the clock of "stalled".
  progress_at      timestamptz not null default now(),
  nudged_at        timestamptz,
  dead_probes      integer     not null default 0,
  observed_at      timestamptz not null default now(),
  constraint heartbeats_pkey primary key (task_id),
  constraint heartbeats_task foreign key (task_id, tenant_id, operator_id)
    references fleet_tasks (id, tenant_id, operator_id) on delete cascade
) with (fillfactor = 50);
create index heartbeats_by_host on heartbeats (host);

reset role;
