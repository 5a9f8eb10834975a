-- Plans, work orders, their runs with evidence, and schedules.
set local role fleet_owner;

-- The inputs and the output of a plan, as gzipped canonical JSON: enough to plan again and compare.
create table plans (
  id            uuid        not null,
  tenant_id     text        not null,
  operator_id   text        not null,
  source        text        not null,
  as_of         timestamptz not null,
  wanted        integer     not null,
  candidates    integer     not null,
  input_sha256  text        not null,
  output_sha256 text        not null,
  inputs        bytea       not null,
  output        bytea       not null,
  created_at    timestamptz not null default now(),
  constraint plans_pkey primary key (id),
  constraint plans_source_known check (source in ('state', 'schedules')),
  constraint plans_wanted_bounded check (wanted between 1 and 1000),
  constraint plans_size_capped check (octet_length(inputs) <= 16777216 and octet_length(output) <= 16777216)
);
create index plans_by_tenant on plans (tenant_id, created_at desc, id desc);

-- `subject` distinguishes orders of one intent (the dossier of science_to_design). An order runs once it has been requested
-- (`requested_at`); from then on the reconciler reads `due_at` and `lease_until`, as it does for tasks.
create table work_orders (
  id           uuid        not null,
  tenant_id    text        not null,
  operator_id  text        not null,
  product_id   text        not null,
  intent       text        not null,
  subject      text        not null default '',
  inputs       jsonb       not null default '{}',
  budget       jsonb       not null,
  stop_conditions jsonb    not null default '[]',
  evidence_expectations jsonb not null default '[]',
  policy_refs  jsonb       not null default '[]',
  priority     integer     not null default 50,
  score        integer     not null default 0,
  reasons      jsonb       not null default '[]',
  status       text        not null default 'pending',
  reason       text,
  source       text        not null,
  plan_id      uuid,
  schedule_id  text,
  slot_at      timestamptz,
  batch_id     uuid,
  requested_at timestamptz,
  attempt      integer     not null default 0,
  crashes      integer     not null default 0,
  worker       text,
  host         text,
  lease_until  timestamptz,
  due_at       timestamptz,
  result       jsonb,
  version      integer     not null default 1,
  epoch        integer     not null default 1,
  completed_at timestamptz,
  created_at   timestamptz not null default now(),
  updated_at   timestamptz not null default now(),
  -- The short name that people type, as for tasks.
  short_id     text        collate "C" generated always as (right(id::text, 8)) stored,
  constraint work_orders_pkey primary key (id),
  constraint work_orders_id_owner unique (id, tenant_id, operator_id),
  constraint work_orders_intent_known check (intent in ('validate', 'test', 'regenerate_report', 'gc_runs', 'drift_check',
    'science_to_design')),
  constraint work_orders_status_known check (status in ('pending', 'running', 'completed', 'failed', 'skipped')),
  constraint work_orders_source_known check (source in ('plan', 'schedule', 'manual', 'push')),
  constraint work_orders_priority_bounded check (priority between 0 and 100),
  constraint work_orders_owner_said check (tenant_id <> '' and operator_id <> '')
);
-- One open order per product, intent and subject: a repeated or concurrent plan adds nothing.
create unique index work_orders_open on work_orders (tenant_id, product_id, intent, subject)
  where status in ('pending', 'running');
-- One set of orders per slot of a schedule, also after they have ended.
create unique index work_orders_slot on work_orders (tenant_id, schedule_id, slot_at, intent, subject)
  where schedule_id is not null;
create index work_orders_by_tenant on work_orders (tenant_id, created_at desc, id desc);
create index work_orders_by_product on work_orders (tenant_id, product_id, created_at desc, id desc);
create index work_orders_by_status on work_orders (tenant_id, status, created_at desc, id desc);
create index work_orders_by_intent on work_orders (tenant_id, intent, created_at desc, id desc);
create index work_orders_pending on work_orders (tenant_id, priority desc, created_at, id) where status = 'pending';
create index work_orders_by_short_id on work_orders (short_id);
create index work_orders_due on work_orders (due_at) where status = 'pending' and requested_at is not null;
create index work_orders_leased on work_orders (lease_until) where status = 'running';
create index work_orders_of_plan on work_orders (plan_id) where plan_id is not null;
create index work_orders_of_batch on work_orders (batch_id) where batch_id is not null;
create index work_orders_ended on work_orders (completed_at) where completed_at is not null;

create table runs (
  id           uuid        not null,
  tenant_id    text        not null,
  operator_id  text        not null,
  order_id     uuid        not null,
  product_id   text        not null,
  intent       text        not null,
  attempt      integer     not null default 0,
  host         text,
  worker       text,
  status       text        not null default 'in_progress',
  head_sha     text,
  exit_code    integer,
  failure      text,
  message      text,
  transient    boolean     not null default false,
  pinned       boolean     not null default false,
  release      text,
  summary      jsonb       not null default '{}',
  dir          text,
  started_at   timestamptz not null default now(),
  ended_at     timestamptz,
  -- The run's worker died: the host still has to store the evidence that exists.
  unsealed     boolean     not null default false,
  collected_at timestamptz,
  short_id     text        collate "C" generated always as (right(id::text, 8)) stored,
  constraint runs_pkey primary key (id),
  constraint runs_id_owner unique (id, tenant_id, operator_id),
  constraint runs_order foreign key (order_id, tenant_id, operator_id)
    references work_orders (id, tenant_id, operator_id) on delete cascade,
  constraint runs_status_known check (status in ('in_progress', 'success', 'failed', 'cancelled')),
  constraint runs_ended_said check ((status = 'in_progress') = (ended_at is null))
);
create index runs_by_tenant on runs (tenant_id, started_at desc, id desc) where collected_at is null;
create index runs_by_product on runs (tenant_id, product_id, started_at desc, id desc) where collected_at is null;
create index runs_by_status on runs (tenant_id, status, started_at desc, id desc) where collected_at is null;
create index runs_by_intent on runs (tenant_id, intent, started_at desc, id desc) where collected_at is null;
create index runs_latest on runs (tenant_id, product_id, intent, started_at desc);
create index runs_by_short_id on runs (short_id);
create index runs_of_order on runs (order_id);
create index runs_unsealed on runs (host, started_at) where unsealed;
create index runs_on_host on runs (host, status);

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

-- One row per schedule file, as it was last read. When the file is invalid, `problems` says why and `definition` stays the
-- last valid one. Due slots are computed from `last_slot_at`.
create table schedules (
  id           text        not null,
  tenant_id    text        not null,
  operator_id  text        not null,
  product_id   text        not null,
  cadence      text,
  definition   jsonb,
  file         text        not null,
  sha256       text        not null,
  problems     jsonb,
  enabled      boolean     not null default true,
  paused       jsonb,
  last_slot_at timestamptz,
  last_run_at  timestamptz,
  last_outcome text,
  pushed_at    timestamptz,
  created_at   timestamptz not null default now(),
  updated_at   timestamptz not null default now(),
  constraint schedules_pkey primary key (tenant_id, id),
  constraint schedules_cadence_known check (cadence in ('hourly', 'daily', 'weekly', 'manual', 'on_push'))
);
