drop table attempts;
drop table fleet_tasks;
drop function fleet_release_slots();
drop function fleet_guard_status();
drop table hosts;
drop table slots;
drop table operators;
