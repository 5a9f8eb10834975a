-- Creates the partitions of this month and of the next `p_ahead` ones. It returns 'done', or 'again' when another call has to
-- continue in a transaction of its own. It runs as the owner, because only the owner may change tables; row security shows the
-- owner no rows, and PostgreSQL itself checks that rows and bounds agree.
--
-- Rows in the default partition (written before months existed, or when nothing created them) stay where they are: that table
-- becomes the partition of its time, and an empty default replaces it. For that PostgreSQL must know that all rows lie within the
-- bounds. A large table is checked beforehand, by a constraint that is validated while writers continue.
create or replace function fleet_audit_months(p_ahead integer, p_small bigint default 67108864) returns text
language plpgsql security definer set search_path = public, pg_temp as $$
declare
  this_month constant date := date_trunc('month', now() at time zone 'UTC');
  rest constant regclass := 'public.audit_log_rest';
  made_until text;
  check_until timestamptz;
  is_valid boolean;
  until timestamptz;
  month date;
  name text;
begin
  set local lock_timeout = '2s';
  if pg_relation_size(rest) > 0 then
    -- The end of the existing months. They have no gaps, so rows in the default partition are later.
    select max(substring(pg_get_expr(c.relpartbound, c.oid) from 'TO \(''([^'']+)''\)')::timestamptz)::text into made_until
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'public.audit_log'::regclass and c.oid <> rest;
    if made_until::timestamptz > now() then
      raise exception 'audit_log_rest holds rows of a month that has its own partition';
    end if;

    select substring(pg_get_constraintdef(k.oid) from '< ''([^'']+)''')::timestamptz, k.convalidated
    into check_until, is_valid
    from pg_constraint k where k.conrelid = rest and k.conname = 'audit_log_rest_is_past';
    if check_until < now() + interval '1 day' then
      -- The constraint is weeks old and would soon refuse new rows: start again.
      alter table audit_log_rest drop constraint audit_log_rest_is_past;
      return 'again';
    end if;
    if check_until is null and pg_relation_size(rest) > p_small then
      execute format('alter table audit_log_rest add constraint audit_log_rest_is_past check (at < %L) not valid',
        ((this_month + interval '2 months')::timestamp at time zone 'UTC'));
      return 'again';
    end if;
    if not is_valid then
      alter table audit_log_rest validate constraint audit_log_rest_is_past;
      return 'again';
    end if;

    until := coalesce(check_until, (this_month + interval '1 month')::timestamp at time zone 'UTC');
    name := fleet_audit_month_name(((until at time zone 'UTC') - interval '1 month')::date) || '_and_before';
    alter table audit_log detach partition audit_log_rest;
    execute format('alter table audit_log_rest rename to %I', name);
    execute format('alter table audit_log attach partition %I for values from (%s) to (%L)', name,
      coalesce(quote_literal(made_until), 'minvalue'), until);
    execute format('alter table %I drop constraint if exists audit_log_rest_is_past', name);
    create table audit_log_rest partition of audit_log default;
    perform fleet_audit_guard('audit_log_rest');
    return 'again';
  end if;

  for month in select generate_series(this_month, this_month + make_interval(months => p_ahead), interval '1 month') loop
    name := fleet_audit_month_name(month);
    continue when exists (
      select from pg_inherits i join pg_class c on c.oid = i.inhrelid
      where i.inhparent = 'public.audit_log'::regclass and c.oid <> rest
        and substring(pg_get_expr(c.relpartbound, c.oid) from 'TO \(''([^'']+)''\)')::timestamptz > month::timestamp at time zone 'UTC');
    -- A running insert has chosen the default partition already, and would be refused once the month exists: wait for it first.
    lock table only audit_log in share row exclusive mode;
    execute format('create table %I (like audit_log including defaults including constraints)', name);
    perform fleet_audit_guard(name);
    execute format('alter table audit_log attach partition %I for values from (%L) to (%L)', name,
      month::timestamp at time zone 'UTC', (month + interval '1 month')::timestamp at time zone 'UTC');
  end loop;
  return 'done';
end $$;

revoke execute on function fleet_audit_months(integer, bigint) from public;
grant execute on function fleet_audit_months(integer, bigint) to fleet_worker;
