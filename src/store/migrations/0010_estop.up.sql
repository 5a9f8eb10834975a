-- 0010 expand: the kill switch in all its scopes. Until now only products could be stopped, and that ended their running
-- orders: what is there already, and what the program before this one writes, keeps meaning that.
set local role fleet_owner;

alter table kill_switches add column ends_orders boolean not null default true;

-- What waits, or is frozen, because of a switch: looked through again and again until its switch is gone.
create index fleet_tasks_paused on fleet_tasks (condition_since, id) where condition = 'paused';

reset role;
