-- Refuses updates, deletes and truncation by any role.
create or replace function fleet_append_only() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'insufficient_privilege';
end $$;
create or replace trigger audit_log_append_only before update or delete on audit_log
  for each row execute function fleet_append_only();
create or replace trigger audit_log_not_truncated before truncate on audit_log
  for each statement execute function fleet_append_only();
create or replace trigger audit_log_rest_not_truncated before truncate on audit_log_rest
  for each statement execute function fleet_append_only();
create or replace trigger audit_checkpoints_append_only before update or delete on audit_checkpoints
  for each row execute function fleet_append_only();
create or replace trigger audit_checkpoints_not_truncated before truncate on audit_checkpoints
  for each statement execute function fleet_append_only();
