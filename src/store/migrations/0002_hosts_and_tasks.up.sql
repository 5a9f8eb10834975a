-- Hosts, tasks, their attempts, the latest facts about their agents, and whose turn it is when hosts are full.
set local role fleet_owner;

create table hosts (
  id            text        not null,
  boot_id       text        not null,
  reporter      text        not null,
  lease_until   timestamptz not null,
  slots         integer     not null,
  draining      boolean     not null default false,
  versions      jsonb       not null default '{}',
  load          real        not null default 0,
  disk_free_mb  bigint      not null default 0,
  labels        jsonb       not null default '{}',
  started_at    timestamptz not null default now(),
  reported_at   timestamptz not null default now(),
  constraint hosts_pkey primary key (id),
  constraint hosts_id_form check (id ~ '^[A-Za-z0-9][A-Za-z0-9-]{0,62}$'),
  constraint hosts_slots_not_negative check (slots >= 0)
);

create table fleet_tasks (
  id               uuid        not null,
  tenant_id        text        not null,
  operator_id      text        not null,
  host             text,
  agent_type       text        not null,
  model            text,
  routing_reason   text,
  task_type        text        not null,
  title            text        not null,
  description      text        not null,
  repository       text        not null,
  base_branch      text        not null,
  branch           text        not null,
  workspace_path   text,
  runtime          text        not null default 'tmux',
  tmux_session     text,
  status           text        not null default 'proposed',
  condition        text        not null default 'ok',
  condition_detail jsonb,
  condition_since  timestamptz,
  version          integer     not null default 1,
  epoch            integer     not null default 1,
  attempt          integer     not null default 0,
  dispatch_id      uuid,
  lease_until      timestamptz,
  waiting_for      text,
  due_at           timestamptz,
  pr_number        integer,
  pr_url           text,
  head_sha         text,
  ci_status        text        not null default 'none',
  review_status    jsonb,
  done_status      jsonb,
  retry_count      integer     not null default 0,
  max_retries      integer     not null default 3,
  timeout_minutes  integer     not null default 60,
  budget           jsonb       not null default '{}',
  spend            jsonb       not null default '{}',
  context_hash     text,
  failure_context  jsonb,
  metadata         jsonb       not null default '{}',
  idempotency_key  text,
  request_hash     text,
  audit_head       text        not null default '',
  audit_seq        integer     not null default 0,
  trace_id         text,
  spawned_at       timestamptz,
  completed_at     timestamptz,
  removed_at       timestamptz,
  -- The short name that people type. It is a column because row security lets only leak-proof comparisons use an index.
  short_id         text collate "C" generated always as (right(id::text, 8)) stored,
  created_at       timestamptz not null default now(),
  updated_at       timestamptz not null default now(),
  constraint fleet_tasks_pkey primary key (id),
  constraint fleet_tasks_id_owner unique (id, tenant_id, operator_id),
  constraint fleet_tasks_operator foreign key (operator_id, tenant_id) references operators (id, tenant_id),
  constraint fleet_tasks_status_known check (status in ('proposed', 'spawning', 'running', 'pr_created', 'reviewing',
    'ready', 'merged', 'rejected', 'failed', 'retrying', 'abandoned', 'cancelled')),
  constraint fleet_tasks_condition_known check (condition in ('ok', 'needs_input', 'waiting_quota', 'waiting_slot',
    'operator_attached', 'paused', 'doubtful')),
  constraint fleet_tasks_task_type_known check (task_type in ('bug_fix', 'feature', 'refactor', 'review', 'docs')),
  constraint fleet_tasks_runtime_known check (runtime = 'tmux'),
  constraint fleet_tasks_ci_status_known check (ci_status in ('none', 'pending', 'passing', 'failing')),
  constraint fleet_tasks_retries_bounded check (retry_count >= 0 and retry_count <= max_retries and max_retries <= 10),
  constraint fleet_tasks_counts_not_negative check (version >= 1 and epoch >= 1 and attempt >= 0 and audit_seq >= 0),
  constraint fleet_tasks_timeout_positive check (timeout_minutes between 1 and 1440),
  constraint fleet_tasks_branch_form check (branch ~ '^[A-Za-z0-9][A-Za-z0-9._/-]*$' and branch !~ '(\.\.|//|@\{|\.lock(/|$))'
    and length(branch) <= 128),
  constraint fleet_tasks_text_bounded check (length(title) <= 200 and length(description) <= 20000),
  constraint fleet_tasks_completed_when_terminal check ((completed_at is not null) = (status in ('merged', 'abandoned',
    'cancelled'))),
  constraint fleet_tasks_idempotency unique (operator_id, idempotency_key)
) with (fillfactor = 70);

-- Every transition writes to each of these indexes, so there is none that no query needs.
create index fleet_tasks_by_time on fleet_tasks (created_at desc, id desc);
create index fleet_tasks_by_operator on fleet_tasks (operator_id, created_at desc, id desc);
create index fleet_tasks_by_tenant on fleet_tasks (tenant_id, created_at desc, id desc);
-- Counts by status read this index alone because it includes the operator: a heap scan took 600 ms for a large tenant.
create index fleet_tasks_by_tenant_status on fleet_tasks (tenant_id, status, created_at desc, id desc)
  include (operator_id) where removed_at is null;
create index fleet_tasks_by_branch on fleet_tasks (repository, branch);
create index fleet_tasks_by_short_id on fleet_tasks (short_id);
create index fleet_tasks_live on fleet_tasks (host, status)
  where status in ('spawning', 'running', 'pr_created', 'reviewing', 'ready');
create index fleet_tasks_queued on fleet_tasks (created_at) where status in ('proposed', 'retrying');
create index fleet_tasks_waiting on fleet_tasks (due_at) where waiting_for is not null;
create index fleet_tasks_to_clean on fleet_tasks (host) where completed_at is not null and workspace_path is not null;
-- Tasks that wait for a host, each operator's oldest first; and tasks that a host has called but not started yet.
create index fleet_tasks_in_line on fleet_tasks (tenant_id, operator_id, created_at, id)
  where condition = 'waiting_slot' and waiting_for = 'spawn' and condition_detail ? 'host';
create index fleet_tasks_called on fleet_tasks (created_at)
  where condition = 'ok' and waiting_for = 'spawn' and condition_detail ? 'called';
-- Tasks that a kill switch holds: every sweep reads them until the switch is released.
create index fleet_tasks_paused on fleet_tasks (condition_since, id) where condition = 'paused';

-- An operator belongs to one tenant; without these statistics the planner takes the two columns for independent.
create statistics fleet_tasks_owner (dependencies) on tenant_id, operator_id from fleet_tasks;

-- One run of an agent: its input, its times, its outcome and its usage (null: the agent reported none).
create table attempts (
  task_id         uuid        not null,
  attempt         integer     not null,
  tenant_id       text        not null,
  operator_id     text        not null,
  dispatch_id     uuid        not null,
  host            text        not null,
  agent_type      text        not null,
  model           text,
  start_sha       text,
  head_sha        text,
  context_hash    text,
  outcome         text,
  failure_context jsonb,
  started_at      timestamptz not null default now(),
  running_at      timestamptz,
  ended_at        timestamptz,
  closed_at       timestamptz,
  tokens          double precision,
  cost            double precision,
  minutes         double precision not null default 0,
  constraint attempts_pkey primary key (task_id, attempt),
  constraint attempts_task foreign key (task_id, tenant_id, operator_id)
    references fleet_tasks (id, tenant_id, operator_id) on delete cascade,
  constraint attempts_not_negative check (attempt >= 0)
);
-- Attempts whose host has not confirmed yet that their processes and working copy are removed.
create index attempts_open_on_host on attempts (host) where closed_at is null;

-- The latest facts about one task's agent, which its host writes in one statement per tick.
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
  -- When output, CPU or commits last moved; stall detection counts from here.
  progress_at      timestamptz not null default now(),
  nudged_at        timestamptz,
  dead_probes      integer     not null default 0,
  observed_at      timestamptz not null default now(),
  constraint heartbeats_pkey primary key (task_id),
  constraint heartbeats_task foreign key (task_id, tenant_id, operator_id)
    references fleet_tasks (id, tenant_id, operator_id) on delete cascade
) with (fillfactor = 50);
create index heartbeats_by_host on heartbeats (host);

-- When a tenant (operator `*`), and an operator within it, last got a free host: the one that waited longest is next.
create table turns (
  tenant_id   text   not null,
  operator_id text   not null,
  served      bigint not null,
  constraint turns_pkey primary key (tenant_id, operator_id),
  constraint turns_owner_said check (tenant_id <> '' and operator_id <> '')
);
create sequence turns_served;
