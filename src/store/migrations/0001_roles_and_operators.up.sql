-- The three database roles, the operators and their slots.
-- Roles belong to the whole server, so another database of the same server may have created them already.
do $$
declare r text;
begin
  foreach r in array array['fleet_owner', 'fleet_app', 'fleet_worker'] loop
    begin
      execute format('create role %I nologin noinherit nosuperuser nobypassrls nocreatedb nocreaterole', r);
    exception when duplicate_object or unique_violation then null;
    end;
    execute format('grant %I to %I', r, current_user);
  end loop;
end $$;

grant usage, create on schema public to fleet_owner;
grant usage on schema public to fleet_app, fleet_worker;
revoke create on schema public from public;

-- The drift check compares the applied migrations with those of the program. This table belongs to the login that migrates.
grant select on fleet_migrations to fleet_worker;

set local role fleet_owner;

create table operators (
  id          text        not null,
  tenant_id   text        not null,
  tier        text        not null,
  created_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now(),
  -- Head and length of the audit chain of actions that concern no task.
  audit_head  text        not null default '',
  audit_seq   integer     not null default 0,
  -- The highest role that a token of this operator may claim; null: none.
  role        text,
  disabled_at timestamptz,
  constraint operators_pkey primary key (id),
  constraint operators_id_tenant unique (id, tenant_id),
  constraint operators_id_said check (id <> '' and tenant_id <> ''),
  constraint operators_tier_known check (tier in ('observer', 'participant', 'builder', 'architect', 'sovereign')),
  constraint operators_role_known check (role in ('admin', 'queue-operator'))
);

-- The number of slots an operator holds. Admission updates this row, so that it never has to count tasks.
create table slots (
  operator_id text    not null,
  tenant_id   text    not null,
  active      integer not null default 0,
  constraint slots_pkey primary key (operator_id),
  constraint slots_operator foreign key (operator_id, tenant_id) references operators (id, tenant_id),
  constraint slots_active_not_negative check (active >= 0)
);
