-- 0007 expand: who sees and writes which rows. Forced, so it holds for the owner too. Requests (fleet_app) read their own
-- rows, or their tenant's when the scope of the transaction says so, and write their own; processors (fleet_worker) see all.
-- Settings are read in sub-selects: once per statement instead of once per row.
set local role fleet_owner;

do $$
declare t text;
begin
  foreach t in array array['operators', 'slots', 'fleet_tasks', 'attempts', 'audit_log', 'outbox', 'fleet_notifications',
    'heartbeats', 'pull_requests', 'ci_runs', 'reviews', 'work_orders', 'runs', 'artifacts', 'schedules', 'drift_reports',
    'reputation', 'fleet_config'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy %I on %I to fleet_worker using (true) with check (true)', t || '_worker', t);
    execute format($policy$
      create policy %I on %I for select to fleet_app using (
        tenant_id = (select nullif(current_setting('app.tenant_id', true), ''))
        and (%s = (select nullif(current_setting('app.operator_id', true), ''))
          or (select current_setting('app.scope', true)) = 'tenant'))
      $policy$, t || '_app_reads', t, case when t = 'operators' then 'id' else 'operator_id' end);
    execute format($policy$
      create policy %I on %I for insert to fleet_app with check (
        tenant_id = (select nullif(current_setting('app.tenant_id', true), ''))
        and %s = (select nullif(current_setting('app.operator_id', true), '')))
      $policy$, t || '_app_inserts', t, case when t = 'operators' then 'id' else 'operator_id' end);
    execute format($policy$
      create policy %1$I on %2$I for update to fleet_app using (
        tenant_id = (select nullif(current_setting('app.tenant_id', true), ''))
        and %3$s = (select nullif(current_setting('app.operator_id', true), ''))) with check (
        tenant_id = (select nullif(current_setting('app.tenant_id', true), ''))
        and %3$s = (select nullif(current_setting('app.operator_id', true), '')))
      $policy$, t || '_app_updates', t, case when t = 'operators' then 'id' else 'operator_id' end);
    execute format($policy$
      create policy %I on %I for delete to fleet_app using (
        tenant_id = (select nullif(current_setting('app.tenant_id', true), ''))
        and %s = (select nullif(current_setting('app.operator_id', true), '')))
      $policy$, t || '_app_deletes', t, case when t = 'operators' then 'id' else 'operator_id' end);
    execute format('grant select on %I to fleet_app, fleet_worker', t);
  end loop;
end $$;

-- Entries are read and written through audit_log; its partition has no policy and no grant, so nobody passes by.
alter table audit_log_rest enable row level security;
alter table audit_log_rest force row level security;

grant insert, update, delete on operators, slots, fleet_tasks, attempts, outbox, fleet_notifications, heartbeats,
  pull_requests, ci_runs, reviews, work_orders, runs, artifacts, schedules, drift_reports, reputation, fleet_config
  to fleet_worker;
grant insert on audit_log to fleet_app, fleet_worker;
grant select, insert, update, delete on hosts, signing_keys to fleet_worker;
grant select, insert on audit_checkpoints to fleet_worker;

-- A request may change its own tasks, never who it is: no write to tier, tenant, or another operator's slots.
grant update (audit_head, audit_seq) on operators to fleet_app;
grant update (active) on slots to fleet_app;
grant insert, update on fleet_tasks, attempts, fleet_notifications to fleet_app;
grant insert on outbox to fleet_app;
grant insert, update, delete on fleet_config to fleet_app;
grant select on hosts to fleet_app;

reset role;
