-- 0016 expand: listings whose cost does not grow with the years, measured among a million tasks of fifty tenants.
set local role fleet_owner;

-- The same rows for the same readers, said so that the planner can reckon: of "mine, or all of my tenant's" it expected one row
-- in 170 to pass, read all tasks of a tenant to sort them, and took 570 ms for a page that now takes 3. An operator's own are
-- asked for by name besides.
do $$
declare t text;
begin
  foreach t in array array['fleet_tasks', 'attempts', 'audit_log', 'outbox', 'fleet_notifications', 'heartbeats', 'pull_requests',
    'ci_runs', 'reviews', 'work_orders', 'runs', 'artifacts'] loop
    execute format($policy$
      alter policy %I on %I using (
        tenant_id = (select nullif(current_setting('app.tenant_id', true), ''))
        and case when (select current_setting('app.scope', true)) = 'tenant' then true
          else operator_id = (select nullif(current_setting('app.operator_id', true), '')) end)
      $policy$, t || '_app_reads', t);
  end loop;
end $$;

-- Counts by status are read from it alone, whose rows they are included: as a heap scan it took 600 ms for a large tenant.
drop index fleet_tasks_by_tenant_status;
create index fleet_tasks_by_tenant_status on fleet_tasks (tenant_id, status, created_at desc, id desc)
  include (operator_id) where removed_at is null;

-- An operator has one tenant, which the planner would take for chance.
create statistics fleet_tasks_owner (dependencies) on tenant_id, operator_id from fleet_tasks;

-- The latest events of one tenant among everybody's: otherwise those of all others are read on the way.
create index outbox_events_of_tenant on outbox (tenant_id, xid, id) where topic = 'event';

create index work_orders_by_intent on work_orders (tenant_id, intent, created_at desc, id desc);
create index work_orders_of_plan on work_orders (plan_id) where plan_id is not null;
create index runs_by_status on runs (tenant_id, status, started_at desc, id desc) where collected_at is null;
create index runs_by_intent on runs (tenant_id, intent, started_at desc, id desc) where collected_at is null;

reset role;
