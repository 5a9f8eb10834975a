set local role fleet_owner;

drop table audit_checkpoints;
drop table audit_heads;
drop table audit_log;
