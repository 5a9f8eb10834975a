-- 0016 down.
set local role fleet_owner;

drop index runs_by_intent;
drop index runs_by_status;
drop index work_orders_of_plan;
drop index work_orders_by_intent;
drop index outbox_events_of_tenant;
drop statistics fleet_tasks_owner;
drop index fleet_tasks_by_tenant_status;
create index fleet_tasks_by_tenant_status on fleet_tasks (tenant_id, status, created_at desc, id desc);

do $$
declare t text;
begin
  foreach t in array array['fleet_tasks', 'attempts', 'audit_log', 'outbox', 'fleet_notifications', 'heartbeats', 'pull_requests',
    'ci_runs', 'reviews', 'work_orders', 'runs', 'artifacts'] loop
    execute format($policy$
      alter policy %I on %I using (
        tenant_id = (select nullif(current_setting('app.tenant_id', true), ''))
        and (operator_id = (select nullif(current_setting('app.operator_id', true), ''))
          or (select current_setting('app.scope', true)) = 'tenant'))
      $policy$, t || '_app_reads', t);
  end loop;
end $$;

reset role;
