-- The audit log, and the signed checkpoints over its chains.
set local role fleet_owner;

-- One chain per task (and per operator for actions without a task). The head is on the task's row, so chains never contend.
-- There is no foreign key to tasks: history outlives its subject.
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
-- Holds what belongs to no month that fleet_audit_months has created.
create table audit_log_rest partition of audit_log default;
create index audit_log_by_chain on audit_log (chain, seq);

-- Entries are read and written through audit_log. A partition has neither a policy nor a grant, so it offers no bypass.
alter table audit_log_rest enable row level security;
alter table audit_log_rest force row level security;

-- The length and last hash of each chain at the latest checkpoint, so that verification notices a chain that was removed or
-- truncated. `removed_*`: up to where retention removed entries on purpose (a whole month); verification starts after it.
create table audit_heads (
  chain        text collate "C" not null,
  tenant_id    text             not null,
  operator_id  text             not null,
  seq          integer          not null,
  head         text             not null,
  removed_seq  integer          not null default 0,
  removed_hash text             not null default '',
  constraint audit_heads_pkey primary key (chain),
  constraint audit_heads_owner_said check (tenant_id <> '' and operator_id <> ''),
  constraint audit_heads_removed_within check (removed_seq between 0 and seq)
);

-- A checkpoint signs a digest over audit_heads. `previous` is the signature of the checkpoint before, so that none can be
-- taken out of the row; `removed` names what retention removed with this one.
create table audit_checkpoints (
  id         bigint      not null generated always as identity,
  at         timestamptz not null default now(),
  heads      bigint      not null,
  digest     text        not null,
  key_id     text        not null,
  signature  text        not null,
  previous   text        not null default '',
  removed    jsonb       not null default '[]',
  constraint audit_checkpoints_pkey primary key (id)
);
