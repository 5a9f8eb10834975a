-- 0011 contract: checkpoints as they were: nothing holds them together, and no heads are kept.
set local role fleet_owner;

drop trigger audit_checkpoints_not_truncated on audit_checkpoints;
drop trigger audit_checkpoints_append_only on audit_checkpoints;
alter table audit_checkpoints drop column removed, drop column previous;
drop table audit_heads;

reset role;
