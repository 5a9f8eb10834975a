-- Sets role and context of this transaction, in one call. All of it ends with the transaction, so it is safe behind a pooler that
-- gives the connection to another client next. Only these two roles are allowed: without a role the transaction would have the
-- rights of the login. A statement gives up waiting for a lock after 2 s.
create or replace function fleet_enter(p_context jsonb) returns void language plpgsql as $$
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
