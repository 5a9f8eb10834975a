-- 0001 expand: the three roles, and the one function through which a transaction says on whose behalf it runs.
-- Roles belong to the whole server, so they may exist already (another database of the same server).
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

set local role fleet_owner;

-- Role and context of this transaction, in one call; all of it ends with the transaction, so it also holds through a
-- pooler that lends the connection to somebody else next. Role names other than these two are refused, and so is none:
-- an empty role would leave the transaction with the rights of the login. A lock waited for longer than 2 s is given up.
create function fleet_enter(p_context jsonb) returns void language plpgsql as $$
begin
  if coalesce(p_context->>'role', '') not in ('fleet_app', 'fleet_worker') then
    raise exception 'no such role for a request: %', p_context->>'role' using errcode = 'insufficient_privilege';
  end if;
  perform set_config('role', p_context->>'role', true),
          set_config('app.tenant_id', coalesce(p_context->>'tenantId', ''), true),
          set_config('app.operator_id', coalesce(p_context->>'operatorId', ''), true),
          set_config('app.scope', coalesce(p_context->>'scope', 'operator'), true),
          set_config('lock_timeout', '2s', true);
end $$;

reset role;
