set local role fleet_owner;

drop table alerts;
drop table fleet_config;
drop table fleet_notifications;
drop table outbox;
