revoke select on fleet_migrations from fleet_worker;
set local role fleet_owner;

drop table gc_reports;
drop table gc_marks;
drop table kill_switches;
drop table dossiers;
drop table looks;
drop table drift_baselines;
drop table drift_reports;
drop table schedules;
drop table artifacts;
drop table runs;
drop table work_orders;
drop table plans;

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

do $$
declare t text;
begin
  foreach t in array array['work_orders', 'runs', 'artifacts', 'schedules', 'drift_reports'] loop
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

grant insert, update, delete on work_orders, runs, artifacts, schedules, drift_reports to fleet_worker;

reset role;
