-- Guards a partition of the audit log: rows are read and written through audit_log only, and it cannot be truncated.
create or replace function fleet_audit_guard(p_table text) returns void language plpgsql as $$
begin
  execute format('alter table %I enable row level security', p_table);
  execute format('alter table %I force row level security', p_table);
  execute format('create trigger %I before truncate on %I for each statement execute function fleet_append_only()',
    p_table || '_not_truncated', p_table);
end $$;

revoke execute on function fleet_audit_guard(text) from public;
