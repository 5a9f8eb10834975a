-- 0008 contract, then expand: the factory at work. Until now nothing read or wrote its tables, so five of them are recreated
-- with what running orders, schedules, gc, drift and the science lane need, and five join them.
set local role fleet_owner;

drop table drift_reports;
drop table schedules;
drop table artifacts;
drop table runs;
drop table work_orders;

-- What was planned from which inputs: enough to plan it again and compare. Inputs and output are canonical JSON, gzipped.
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

-- `subject` tells orders of one intent apart (the dossier of science_to_design). An order runs once somebody asked for it
-- (`requested_at`); then `due_at` and `lease_until` are what the reconciler looks at, as with tasks.
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
  -- The name people type, as of tasks.
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
-- One open order per product, intent and subject: planning again, or twice at once, adds nothing.
create unique index work_orders_open on work_orders (tenant_id, product_id, intent, subject)
  where status in ('pending', 'running');
-- One set of orders per slot of a schedule, also after they are done.
create unique index work_orders_slot on work_orders (tenant_id, schedule_id, slot_at, intent, subject)
  where schedule_id is not null;
create index work_orders_by_tenant on work_orders (tenant_id, created_at desc, id desc);
create index work_orders_by_product on work_orders (tenant_id, product_id, created_at desc, id desc);
create index work_orders_by_status on work_orders (tenant_id, status, created_at desc, id desc);
create index work_orders_pending on work_orders (tenant_id, priority desc, created_at, id) where status = 'pending';
create index work_orders_by_short_id on work_orders (short_id);
create index work_orders_due on work_orders (due_at) where status = 'pending' and requested_at is not null;
create index work_orders_leased on work_orders (lease_until) where status = 'running';
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
  -- Its worker died: its host still has to keep what evidence there is.
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

-- One row per file in schedules/, as it was last read; `problems` when it is not valid, and then `definition` is the last
-- one that was. `last_slot_at` is what due-ness is computed from.
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

create table drift_reports (
  id          uuid        not null,
  tenant_id   text        not null,
  operator_id text        not null,
  subject     text        not null,
  what        text        not null,
  product_id  text,
  declared    jsonb,
  actual      jsonb,
  severity    text        not null,
  command     text,
  host        text,
  status      text        not null default 'open',
  since       timestamptz not null default now(),
  seen_at     timestamptz not null default now(),
  accepted    jsonb,
  constraint drift_reports_pkey primary key (id),
  constraint drift_reports_severity_known check (severity in ('low', 'medium', 'high')),
  constraint drift_reports_status_known check (status in ('open', 'accepted', 'gone'))
);
create unique index drift_reports_open on drift_reports (tenant_id, subject, what) where status = 'open';
create index drift_reports_by_tenant on drift_reports (tenant_id, status, since desc, id desc);

-- What counts as right until somebody accepts something else: recorded when first seen, or by accepting a finding.
create table drift_baselines (
  tenant_id   text        not null,
  operator_id text        not null,
  subject     text        not null,
  what        text        not null,
  value       jsonb       not null,
  accepted_by text        not null,
  reason      text        not null default '',
  at          timestamptz not null default now(),
  constraint drift_baselines_pkey primary key (tenant_id, subject, what)
);

-- When a product (or the fleet as a whole) was last looked at, at which commit, and what could not be looked at and why.
create table looks (
  tenant_id   text        not null,
  operator_id text        not null,
  kind        text        not null,
  subject     text        not null,
  at          timestamptz not null,
  commit_sha  text,
  not_checked jsonb       not null default '[]',
  constraint looks_pkey primary key (tenant_id, kind, subject),
  constraint looks_kind_known check (kind in ('drift', 'science'))
);

-- Research dossiers as their front matter says, one row per file; `problems` when that cannot be read.
create table dossiers (
  tenant_id   text        not null,
  operator_id text        not null,
  product_id  text        not null,
  path        text        not null,
  dossier_id  text,
  topic       text,
  status      text,
  owner       text,
  hypothesis  text,
  evidence    jsonb       not null default '[]',
  written_at  timestamptz,
  commit_sha  text        not null,
  problems    jsonb,
  design      jsonb,
  order_id    uuid,
  status_since timestamptz not null default now(),
  seen_at     timestamptz not null default now(),
  constraint dossiers_pkey primary key (tenant_id, product_id, path),
  constraint dossiers_status_known check (status in ('proposed', 'running', 'validated', 'rejected', 'handed_off'))
);
create index dossiers_by_status on dossiers (tenant_id, status, product_id, path);

-- What is stopped on purpose, beside what fleet.yaml says. Durable, and read before every start.
create table kill_switches (
  tenant_id   text        not null,
  operator_id text        not null,
  scope       text        not null,
  subject     text        not null,
  mode        text        not null default 'park',
  reason      text        not null,
  at          timestamptz not null default now(),
  constraint kill_switches_pkey primary key (tenant_id, scope, subject),
  constraint kill_switches_scope_known check (scope in ('agent', 'product', 'tenant', 'fleet')),
  constraint kill_switches_mode_known check (mode in ('park', 'freeze', 'abort')),
  constraint kill_switches_reason_said check (reason <> '')
);

-- What gc has put aside on a host and will delete after its grace: marked first, swept later. Of the machine, not of a tenant.
create table gc_marks (
  id          uuid        not null,
  host        text        not null,
  kind        text        not null,
  subject     text        not null,
  path        text        not null,
  quarantine  text        not null,
  reason      text        not null,
  restore     text        not null,
  bytes       bigint      not null default 0,
  marked_at   timestamptz not null default now(),
  swept_at    timestamptz,
  constraint gc_marks_pkey primary key (id),
  constraint gc_marks_kind_known check (kind in ('run', 'workspace', 'branch', 'snapshot', 'mirror', 'socket', 'attempt'))
);
create unique index gc_marks_open on gc_marks (host, path) where swept_at is null;
create index gc_marks_by_host on gc_marks (host, marked_at);

-- What a host was asked to collect, and what it did. The asker waits for `done_at`; a host that lost the hint finds the row.
create table gc_reports (
  id          uuid        not null,
  host        text        not null,
  asked_by    text        not null,
  ask         jsonb       not null,
  report      jsonb,
  asked_at    timestamptz not null default now(),
  done_at     timestamptz,
  constraint gc_reports_pkey primary key (id)
);
create index gc_reports_open on gc_reports (host, asked_at) where done_at is null;
create index gc_reports_by_age on gc_reports (asked_at);

do $$
declare t text;
begin
  foreach t in array array['plans', 'work_orders', 'runs', 'artifacts', 'schedules', 'drift_reports', 'drift_baselines',
    'looks', 'dossiers', 'kill_switches'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy %I on %I to fleet_worker using (true) with check (true)', t || '_worker', t);
    execute format($policy$
      create policy %I on %I for select to fleet_app using (
        tenant_id = (select nullif(current_setting('app.tenant_id', true), ''))
        and (operator_id = (select nullif(current_setting('app.operator_id', true), ''))
          or (select current_setting('app.scope', true)) = 'tenant'))
      $policy$, t || '_app_reads', t);
    execute format($policy$
      create policy %I on %I for insert to fleet_app with check (
        tenant_id = (select nullif(current_setting('app.tenant_id', true), ''))
        and operator_id = (select nullif(current_setting('app.operator_id', true), '')))
      $policy$, t || '_app_inserts', t);
    execute format($policy$
      create policy %1$I on %2$I for update to fleet_app using (
        tenant_id = (select nullif(current_setting('app.tenant_id', true), ''))
        and operator_id = (select nullif(current_setting('app.operator_id', true), ''))) with check (
        tenant_id = (select nullif(current_setting('app.tenant_id', true), ''))
        and operator_id = (select nullif(current_setting('app.operator_id', true), '')))
      $policy$, t || '_app_updates', t);
    execute format($policy$
      create policy %I on %I for delete to fleet_app using (
        tenant_id = (select nullif(current_setting('app.tenant_id', true), ''))
        and operator_id = (select nullif(current_setting('app.operator_id', true), '')))
      $policy$, t || '_app_deletes', t);
    execute format('grant select on %I to fleet_app, fleet_worker', t);
  end loop;
end $$;

grant insert, update, delete on plans, work_orders, runs, artifacts, schedules, drift_reports, drift_baselines, looks,
  dossiers, kill_switches to fleet_worker;
grant select, insert, update, delete on gc_marks, gc_reports to fleet_worker;
-- Plans and orders are asked for by requests; what else the factory knows, processors write.
grant insert on plans, work_orders to fleet_app;

reset role;

-- Drift compares what was applied with what this Fleetwright has. The bookkeeping belongs to the login that migrates.
grant select on fleet_migrations to fleet_worker;
