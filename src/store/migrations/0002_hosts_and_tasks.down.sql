set local role fleet_owner;

drop table turns;
drop sequence turns_served;
drop table heartbeats;
drop table attempts;
drop table fleet_tasks;
drop table hosts;
