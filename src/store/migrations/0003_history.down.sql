drop table heartbeats;
drop table fleet_notifications;
drop table outbox;
drop table audit_checkpoints;
drop table audit_log;
drop function fleet_append_only();
drop function fleet_audit_hash(text, integer, timestamptz, text, text, jsonb);
