-- The way of an agent's work to the base branch: pull requests of the local forge, their checks and their reviews.
set local role fleet_owner;

create table pull_requests (
  repository   text        not null,
  number       integer     not null,
  task_id      uuid        not null,
  tenant_id    text        not null,
  operator_id  text        not null,
  title        text        not null,
  head_branch  text        not null,
  base_branch  text        not null,
  head_sha     text        not null,
  base_sha     text        not null,
  state        text        not null default 'open',
  opened_by    text        not null,
  attempt      integer     not null,
  merge_sha    text,
  comments     jsonb       not null default '[]',
  created_at   timestamptz not null default now(),
  updated_at   timestamptz not null default now(),
  closed_at    timestamptz,
  constraint pull_requests_pkey primary key (repository, number),
  constraint pull_requests_task foreign key (task_id, tenant_id, operator_id)
    references fleet_tasks (id, tenant_id, operator_id) on delete cascade,
  constraint pull_requests_state_known check (state in ('open', 'merged', 'closed')),
  constraint pull_requests_number_positive check (number > 0)
);
create unique index pull_requests_open_branch on pull_requests (repository, head_branch) where state = 'open';
create index pull_requests_by_task on pull_requests (task_id);

-- One run of the checks per head: a second worker sees that the row is claimed and leaves it.
create table ci_runs (
  id          uuid        not null,
  task_id     uuid        not null,
  tenant_id   text        not null,
  operator_id text        not null,
  head_sha    text        not null,
  status      text        not null default 'pending',
  worker      text,
  lease_until timestamptz,
  tries       integer     not null default 0,
  steps       jsonb       not null default '[]',
  log_excerpt text,
  log_path    text,
  started_at  timestamptz,
  ended_at    timestamptz,
  created_at  timestamptz not null default now(),
  constraint ci_runs_pkey primary key (id),
  constraint ci_runs_head unique (task_id, head_sha),
  constraint ci_runs_task foreign key (task_id, tenant_id, operator_id)
    references fleet_tasks (id, tenant_id, operator_id) on delete cascade,
  constraint ci_runs_status_known check (status in ('pending', 'running', 'passing', 'failing', 'error'))
);

-- The verdict of one reviewer on one head in one round.
create table reviews (
  id           uuid        not null,
  task_id      uuid        not null,
  tenant_id    text        not null,
  operator_id  text        not null,
  round        integer     not null,
  head_sha     text        not null,
  reviewer     text        not null,
  role         text        not null,
  status       text        not null default 'pending',
  worker       text,
  lease_until  timestamptz,
  verdict      text,
  summary      text,
  findings     jsonb       not null default '[]',
  error        text,
  started_at   timestamptz,
  ended_at     timestamptz,
  created_at   timestamptz not null default now(),
  constraint reviews_pkey primary key (id),
  constraint reviews_one_per_round unique (task_id, round, reviewer),
  constraint reviews_task foreign key (task_id, tenant_id, operator_id)
    references fleet_tasks (id, tenant_id, operator_id) on delete cascade,
  constraint reviews_status_known check (status in ('pending', 'running', 'done', 'missing')),
  constraint reviews_verdict_known check (verdict is null or verdict in ('approve', 'request_changes', 'comment')),
  constraint reviews_done_has_verdict check (status <> 'done' or verdict is not null)
);

-- How often an agent type and model did well at a type of task.
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
