-- Role and context of this transaction, in one call; all of it ends with the transaction, so it also holds through a
-- pooler that lends the connection to somebody else next. Role names other than these two are refused, and so is none:
-- an empty role would leave the transaction with the rights of the login. A lock waited for longer than 2 s is given up.
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
