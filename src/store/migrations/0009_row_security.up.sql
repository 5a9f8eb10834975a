-- Row security and grants: which rows each role sees and writes.
--   fleet_app (requests): reads the operator's own rows, or those of the tenant when the transaction's scope is 'tenant';
--     writes the operator's own.
--   fleet_worker (processors): every row.
-- It is forced, so that it also binds the owner. Settings are read in sub-selects: once per statement, not once per row.
set local role fleet_owner;

do $$
declare
  -- Large tables read by `case`, from which the planner estimates that a tenant's page needs few rows. From an `or` it expected
  -- one row in 170 to pass and sorted all tasks of the tenant: 570 ms for a page that now takes 3.
  large constant text[] := array['fleet_tasks', 'attempts', 'audit_log', 'outbox', 'fleet_notifications', 'heartbeats',
    'pull_requests', 'ci_runs', 'reviews', 'work_orders', 'runs', 'artifacts'];
  -- In these, the rows of operator `*` stand for the tenant, and all its operators may read them.
  with_tenant_rows constant text[] := array['budgets', 'spending', 'turns', 'alerts'];
  others constant text[] := array['operators', 'slots', 'schedules', 'drift_reports', 'drift_baselines', 'looks', 'dossiers',
    'plans', 'reputation', 'fleet_config', 'kill_switches', 'tokens', 'revoked_tokens', 'spent_logins', 'audit_heads'];
  my_tenant constant text := 'tenant_id = (select nullif(current_setting(''app.tenant_id'', true), ''''))';
  me constant text := '(select nullif(current_setting(''app.operator_id'', true), ''''))';
  whole_tenant constant text := '(select current_setting(''app.scope'', true)) = ''tenant''';
  t text;
  owner text;
  own text;
  readable text;
  writable text;
begin
  foreach t in array large || with_tenant_rows || others loop
    owner := case t when 'operators' then 'id' else 'operator_id' end;
    own := format('%s = %s', owner, me);
    readable := case
      when t = any (large) then format('case when %s then true else %s end', whole_tenant, own)
      when t = any (with_tenant_rows) then format('(%s in (%s, ''*'') or %s)', owner, me, whole_tenant)
      else format('(%s or %s)', own, whole_tenant) end;
    -- A request counts its task for itself and for its tenant. Grants keep it from writing anything else in those rows.
    writable := case t when 'spending' then format('%s in (%s, ''*'')', owner, me) else own end;

    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy %I on %I to fleet_worker using (true) with check (true)', t || '_worker', t);
    execute format('create policy %I on %I for select to fleet_app using (%s and %s)',
      t || '_app_reads', t, my_tenant, readable);
    execute format('create policy %I on %I for insert to fleet_app with check (%s and %s)',
      t || '_app_inserts', t, my_tenant, writable);
    execute format('create policy %1$I on %2$I for update to fleet_app using (%3$s and %4$s) with check (%3$s and %4$s)',
      t || '_app_updates', t, my_tenant, writable);
    execute format('create policy %I on %I for delete to fleet_app using (%s and %s)',
      t || '_app_deletes', t, my_tenant, own);

    execute format('grant select on %I to fleet_app, fleet_worker', t);
    -- Of the audit log, nobody updates or deletes a row.
    execute format('grant %s on %I to fleet_worker', case t when 'audit_log' then 'insert' else 'insert, update, delete' end, t);
  end loop;
end $$;

grant select, insert, update, delete on hosts, signing_keys, checks, gc_marks, gc_reports to fleet_worker;
grant select, insert on audit_checkpoints to fleet_worker;
grant usage on sequence turns_served to fleet_worker;

-- A request may change its own tasks and preferences, plan and place orders, but never who it is: it writes no tier, no
-- tenant, no token, no budget and no other operator's slots.
grant insert on audit_log, outbox, plans, work_orders to fleet_app;
grant insert, update on fleet_tasks, attempts, fleet_notifications to fleet_app;
grant insert, update, delete on fleet_config to fleet_app;
grant update (audit_head, audit_seq) on operators to fleet_app;
grant update (active) on slots to fleet_app;
grant insert (tenant_id, operator_id, period), update (tasks) on spending to fleet_app;
grant select on hosts to fleet_app;
