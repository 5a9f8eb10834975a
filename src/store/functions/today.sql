-- The day in UTC, as spending.period has it.
create or replace function fleet_today() returns text language sql stable as $$
  select to_char(now() at time zone 'utc', 'YYYY-MM-DD')
$$;
