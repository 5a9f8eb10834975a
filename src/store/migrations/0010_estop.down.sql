-- 0010 down.
set local role fleet_owner;

drop index fleet_tasks_paused;
alter table kill_switches drop column ends_orders;

reset role;
