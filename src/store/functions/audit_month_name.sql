-- The name of a month's partition.
create or replace function fleet_audit_month_name(p_month date) returns text language sql immutable as $$
  select 'audit_log_' || to_char(p_month, 'YYYY_MM')
$$;
