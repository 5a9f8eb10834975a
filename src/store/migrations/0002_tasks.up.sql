-- 0002 expand: operators, their slots, hosts, tasks and their attempts.
set local role fleet_owner;

create table operators (
  id          text        not null,
  tenant_id   text        not null,
  tier        text        not null,
  created_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now(),
  audit_head  text        not null default '',
  audit_seq   integer     not null default 0,
  constraint operators_pkey primary key (id),
  constraint operators_id_tenant unique (id, tenant_id),
  constraint operators_id_said check (id <> '' and tenant_id <> ''),
  constraint operators_tier_known check (tier in ('observer', 'participant', 'builder', 'architect', 'sovereign'))
);

-- How many slots an operator holds. Admission is one update of this row; nothing counts tasks to decide.
create table slots (
  operator_id text    not null,
  tenant_id   text    not null,
  active      integer not null default 0,
  constraint slots_pkey primary key (operator_id),
  constraint slots_operator foreign key (operator_id, tenant_id) references operators (id, tenant_id),
  constraint slots_active_not_negative check (active >= 0)
);

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
  container_id     text,
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
  order_id         uuid,
  trace_id         text,
  spawned_at       timestamptz,
  completed_at     timestamptz,
  removed_at       timestamptz,
  -- The name people type. A column, not an expression: row security lets only leak-proof comparisons use an index.
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
  constraint fleet_tasks_agent_type_known check (agent_type in ('claude_code', 'codex', 'gemini', 'opencode', 'command',
    'stub')),
  constraint fleet_tasks_task_type_known check (task_type in ('bug_fix', 'feature', 'refactor', 'review', 'docs')),
  constraint fleet_tasks_runtime_known check (runtime in ('tmux', 'container')),
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

-- Every one of these is written by every transition, so none is here that no listing needs.
create index fleet_tasks_by_time on fleet_tasks (created_at desc, id desc);
create index fleet_tasks_by_operator on fleet_tasks (operator_id, created_at desc, id desc);
create index fleet_tasks_by_tenant on fleet_tasks (tenant_id, created_at desc, id desc);
create index fleet_tasks_by_tenant_status on fleet_tasks (tenant_id, status, created_at desc, id desc);
create index fleet_tasks_by_branch on fleet_tasks (repository, branch);
create index fleet_tasks_by_short_id on fleet_tasks (short_id);
create index fleet_tasks_live on fleet_tasks (host, status)
  where status in ('spawning', 'running', 'pr_created', 'reviewing', 'ready');
create index fleet_tasks_queued on fleet_tasks (created_at) where status in ('proposed', 'retrying');
create index fleet_tasks_waiting on fleet_tasks (due_at) where waiting_for is not null;
create index fleet_tasks_to_clean on fleet_tasks (host) where completed_at is not null and workspace_path is not null;

-- One run of an agent: what it was given, when it ran, how it ended.
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
  constraint attempts_pkey primary key (task_id, attempt),
  constraint attempts_task foreign key (task_id, tenant_id, operator_id)
    references fleet_tasks (id, tenant_id, operator_id) on delete cascade,
  constraint attempts_not_negative check (attempt >= 0)
);
-- Attempts whose processes and working copy on a host are not known to be gone yet.
create index attempts_open_on_host on attempts (host) where closed_at is null;

-- The database's own copy of the table of ways between states: wrong code cannot move a task along another one.
create function fleet_guard_status() returns trigger language plpgsql as $$
begin
  if not (old.status || '>' || new.status) = any (array[
    'proposed>spawning', 'proposed>cancelled',
    'spawning>running', 'spawning>failed', 'spawning>cancelled',
    'running>pr_created', 'running>failed', 'running>cancelled',
    'pr_created>reviewing', 'pr_created>failed', 'pr_created>cancelled', 'pr_created>merged',
    'reviewing>ready', 'reviewing>rejected', 'reviewing>failed', 'reviewing>cancelled', 'reviewing>merged',
    'ready>merged', 'ready>rejected', 'ready>cancelled',
    'rejected>retrying', 'rejected>abandoned', 'rejected>cancelled',
    'failed>retrying', 'failed>abandoned', 'failed>cancelled',
    'retrying>spawning', 'retrying>abandoned', 'retrying>cancelled']) then
    raise exception 'task % cannot go from % to %', old.id, old.status, new.status using errcode = 'FW001';
  end if;
  return new;
end $$;
create trigger fleet_tasks_guard_status before update of status on fleet_tasks
  for each row when (old.status is distinct from new.status) execute function fleet_guard_status();

create function fleet_holds_slot(p_status text) returns boolean language sql immutable parallel safe as $$
  select p_status in ('proposed', 'spawning', 'running', 'pr_created', 'reviewing', 'retrying')
$$;

-- Entering and leaving the states that hold a slot is counted here, no matter who does it (only admission counts for itself,
-- because it must lock the row before it inserts). One statement for all rows of an update, operators in order, so that
-- two batches cannot wait for each other in a circle. Lock order everywhere: tasks by id, then slots by operator.
create function fleet_count_slots() returns trigger language plpgsql as $$
begin
  if exists (
    select from before join after using (id) where fleet_holds_slot(before.status) <> fleet_holds_slot(after.status)
  ) then
    with moved as (
      select before.operator_id, sum(case when fleet_holds_slot(after.status) then 1 else -1 end)::int as n
      from before join after using (id) where fleet_holds_slot(before.status) <> fleet_holds_slot(after.status)
      group by before.operator_id
    ), held as (
      select slots.operator_id from slots join moved using (operator_id) order by slots.operator_id for update of slots
    )
    update slots set active = greatest(active + moved.n, 0) from moved, held
    where slots.operator_id = moved.operator_id and held.operator_id = moved.operator_id;
  end if;
  return null;
end $$;
create trigger fleet_tasks_count_slots after update on fleet_tasks
  referencing old table as before new table as after
  for each statement execute function fleet_count_slots();

-- Retention deletes only what has ended; should anybody delete more, its slots come back too.
create function fleet_return_slots() returns trigger language plpgsql as $$
begin
  with held as (
    select slots.operator_id from slots
    where slots.operator_id in (select operator_id from gone where fleet_holds_slot(status))
    order by slots.operator_id for update
  )
  update slots set active = greatest(active - (select count(*) from gone
    where gone.operator_id = held.operator_id and fleet_holds_slot(gone.status))::int, 0)
  from held where slots.operator_id = held.operator_id;
  return null;
end $$;
create trigger fleet_tasks_return_slots after delete on fleet_tasks
  referencing old table as gone for each statement execute function fleet_return_slots();

reset role;
