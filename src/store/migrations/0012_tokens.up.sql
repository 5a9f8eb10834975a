-- 0012 expand: tokens that were issued, revoked ones, login links that were used; and of operators
-- the role they may claim at most, and whether they may ask at all. An operator that is there already may claim no role
-- until it is given one: `fleet up` gives its own, `fleet operators set` any other.
set local role fleet_owner;

alter table operators add column role text, add column disabled_at timestamptz,
  add constraint operators_role_known check (role in ('admin', 'queue-operator'));

-- What a token says, never the token itself.
create table tokens (
  jti         text        collate "C" not null,
  tenant_id   text        not null,
  operator_id text        not null,
  purpose     text        not null,
  tier        text        not null,
  role        text,
  name        text        not null default '',
  issued_by   text        not null,
  issued_at   timestamptz not null default now(),
  expires_at  timestamptz not null,
  revoked_at  timestamptz,
  revoked_by  text,
  constraint tokens_pkey primary key (jti),
  constraint tokens_operator foreign key (operator_id, tenant_id) references operators (id, tenant_id) on delete cascade,
  constraint tokens_purpose_known check (purpose in ('access', 'session')),
  constraint tokens_name_bounded check (length(name) <= 100),
  constraint tokens_revoked_said check ((revoked_at is null) = (revoked_by is null))
);
-- The names of tokens begin with the time, so that they sort by it.
create index tokens_by_operator on tokens (operator_id, jti desc);
create index tokens_by_end on tokens (expires_at);

-- Of ours and of another issuer's; a token is only ever known by its issuer and its name. Web processes read all that may
-- still matter: nothing is believed for longer than `until` anyway. The tenant and operator are those of who revoked it.
create table revoked_tokens (
  issuer      text        not null,
  jti         text        not null,
  tenant_id   text        not null,
  operator_id text        not null,
  until       timestamptz not null,
  revoked_at  timestamptz not null default now(),
  constraint revoked_tokens_pkey primary key (issuer, jti),
  constraint revoked_tokens_bounded check (length(issuer) <= 2048 and length(jti) <= 128)
);
create index revoked_tokens_by_end on revoked_tokens (until);

-- A login link works once, whichever web process it is brought to.
create table spent_logins (
  jti         text        not null,
  tenant_id   text        not null,
  operator_id text        not null,
  until       timestamptz not null,
  constraint spent_logins_pkey primary key (jti)
);
create index spent_logins_by_end on spent_logins (until);

do $$
declare t text;
begin
  foreach t in array array['tokens', 'revoked_tokens', 'spent_logins'] loop
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

-- Written by the house alone: no request's SQL gives itself a token, or undoes that one was revoked.
grant insert, update, delete on tokens, revoked_tokens, spent_logins to fleet_worker;

reset role;
