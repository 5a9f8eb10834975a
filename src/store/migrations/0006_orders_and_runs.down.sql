set local role fleet_owner;

drop table schedules;
drop table artifacts;
drop table runs;
drop table work_orders;
drop table plans;
