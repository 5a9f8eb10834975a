-- Messages that still have to leave: to the queues, to readers of events, to people. Also the preferences and alerts that
-- decide which ones.
set local role fleet_owner;

-- A row per message: topic = a queue (the relay adds the job) or 'event' (readers have cursors).
-- `xid` orders events by commit visibility: rows below every running transaction can no longer change.
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
-- Without it, the latest events of one tenant are found only by reading those of all others.
create index outbox_events_of_tenant on outbox (tenant_id, xid, id) where topic = 'event';
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

-- Preferences of an operator (or of the whole tenant: operator_id = '*'). The program encrypts secret values before it
-- stores them.
create table fleet_config (
  tenant_id   text        not null,
  operator_id text        not null,
  key         text        not null,
  value       jsonb,
  sealed      bytea,
  key_id      text,
  updated_by  text        not null,
  updated_at  timestamptz not null default now(),
  constraint fleet_config_pkey primary key (tenant_id, operator_id, key),
  constraint fleet_config_plain_or_sealed check (num_nonnulls(value, sealed) = 1 and (sealed is null) = (key_id is null))
);

-- A problem that exists or existed. Each episode is reported twice: when it begins and when it ends.
create table alerts (
  key         text collate "C" not null,
  tenant_id   text             not null,
  operator_id text             not null,
  kind        text             not null,
  episode     integer          not null default 1,
  is_open     boolean          not null default true,
  summary     text             not null,
  facts       jsonb            not null default '{}',
  raised_at   timestamptz      not null default now(),
  ended_at    timestamptz,
  constraint alerts_pkey primary key (key),
  constraint alerts_owner_said check (tenant_id <> '' and operator_id <> ''),
  constraint alerts_ended_when_closed check (is_open = (ended_at is null))
);
create index alerts_open on alerts (kind) where is_open;
