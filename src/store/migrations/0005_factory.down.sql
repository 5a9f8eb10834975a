drop table signing_keys;
drop table fleet_config;
drop table reputation;
drop table drift_reports;
drop table schedules;
drop table artifacts;
drop table runs;
drop table work_orders;
