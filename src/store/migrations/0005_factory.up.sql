-- 0005 expand: the factory's and the governance's records: orders, runs, evidence, schedules, drift, reputation, settings, keys.
set local role fleet_owner;

create table work_orders (
  id           uuid        not null,
  tenant_id    text        not null,
  operator_id  text        not null,
  product_id   text        not null,
  intent       text        not null,
  inputs       jsonb       not null default '{}',
  budget       jsonb       not null,
  stop_conditions jsonb    not null default '[]',
  evidence_expectations jsonb not null default '[]',
  policy_refs  jsonb       not null default '[]',
  priority     integer     not null default 50,
  status       text        not null default 'pending',
  plan_id      uuid,
  result       jsonb,
  version      integer     not null default 1,
  epoch        integer     not null default 1,
  created_at   timestamptz not null default now(),
  updated_at   timestamptz not null default now(),
  constraint work_orders_pkey primary key (id),
  constraint work_orders_id_owner unique (id, tenant_id, operator_id),
  constraint work_orders_intent_known check (intent in ('validate', 'test', 'regenerate_report', 'gc_runs', 'drift_check',
    'science_to_design')),
  constraint work_orders_status_known check (status in ('pending', 'running', 'completed', 'failed', 'skipped')),
  constraint work_orders_priority_bounded check (priority between 0 and 100)
);
create index work_orders_by_tenant on work_orders (tenant_id, created_at desc, id desc);
create index work_orders_pending on work_orders (priority desc, created_at) where status = 'pending';

create table runs (
  id           uuid        not null,
  tenant_id    text        not null,
  operator_id  text        not null,
  order_id     uuid        not null,
  product_id   text        not null,
  intent       text        not null,
  attempt      integer     not null default 0,
  host         text,
  status       text        not null default 'in_progress',
  pinned       boolean     not null default false,
  summary      jsonb       not null default '{}',
  started_at   timestamptz not null default now(),
  ended_at     timestamptz,
  constraint runs_pkey primary key (id),
  constraint runs_id_owner unique (id, tenant_id, operator_id),
  constraint runs_order foreign key (order_id, tenant_id, operator_id)
    references work_orders (id, tenant_id, operator_id) on delete cascade,
  constraint runs_status_known check (status in ('in_progress', 'success', 'failed', 'cancelled'))
);
create index runs_by_product on runs (tenant_id, product_id, started_at desc, id desc);

create table artifacts (
  id          uuid        not null,
  tenant_id   text        not null,
  operator_id text        not null,
  run_id      uuid,
  task_id     uuid,
  name        text        not null,
  media_type  text        not null,
  encoding    text        not null default 'gzip',
  size_bytes  bigint      not null,
  sha256      text        not null,
  bytes       bytea       not null,
  created_at  timestamptz not null default now(),
  constraint artifacts_pkey primary key (id),
  constraint artifacts_run foreign key (run_id, tenant_id, operator_id)
    references runs (id, tenant_id, operator_id) on delete cascade,
  constraint artifacts_task foreign key (task_id, tenant_id, operator_id)
    references fleet_tasks (id, tenant_id, operator_id) on delete cascade,
  constraint artifacts_belongs check (num_nonnulls(run_id, task_id) = 1),
  constraint artifacts_size_capped check (octet_length(bytes) <= 16777216)
);
create unique index artifacts_of_run on artifacts (run_id, name) where run_id is not null;
create unique index artifacts_of_task on artifacts (task_id, name) where task_id is not null;

create table schedules (
  id          text        not null,
  tenant_id   text        not null,
  operator_id text        not null,
  product_id  text        not null,
  cadence     text        not null,
  definition  jsonb       not null,
  enabled     boolean     not null default true,
  last_run_at timestamptz,
  updated_at  timestamptz not null default now(),
  constraint schedules_pkey primary key (tenant_id, id),
  constraint schedules_cadence_known check (cadence in ('hourly', 'daily', 'weekly', 'manual', 'on_push'))
);

create table drift_reports (
  id          uuid        not null,
  tenant_id   text        not null,
  operator_id text        not null,
  subject     text        not null,
  what        text        not null,
  declared    jsonb,
  actual      jsonb,
  severity    text        not null,
  status      text        not null default 'open',
  since       timestamptz not null default now(),
  seen_at     timestamptz not null default now(),
  accepted    jsonb,
  constraint drift_reports_pkey primary key (id),
  constraint drift_reports_status_known check (status in ('open', 'accepted', 'gone'))
);
create unique index drift_reports_open on drift_reports (tenant_id, subject, what) where status = 'open';

create table reputation (
  tenant_id   text        not null,
  operator_id text        not null,
  agent_type  text        not null,
  model       text        not null,
  task_type   text        not null,
  successes   real        not null default 0,
  failures    real        not null default 0,
  observed    integer     not null default 0,
  updated_at  timestamptz not null default now(),
  constraint reputation_pkey primary key (tenant_id, agent_type, model, task_type)
);

-- Preferences of an operator (or of the whole tenant: operator_id = '*'). Secret values are sealed outside the database.
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

create table signing_keys (
  id          text        not null,
  public_jwk  jsonb       not null,
  sealed_private bytea    not null,
  sealed_with text        not null,
  created_at  timestamptz not null default now(),
  active_from timestamptz not null default now(),
  retire_at   timestamptz,
  revoked_at  timestamptz,
  constraint signing_keys_pkey primary key (id),
  constraint signing_keys_public_only check (not public_jwk ? 'd')
);

reset role;
