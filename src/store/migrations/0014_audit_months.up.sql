-- 0014 expand: the audit log by months. Nothing is moved here: what makes months, ahead of time and one short transaction at a
-- time, are the functions below, which processors call. They run as the owner, who alone may change tables; they
-- read no rows (row security shows the owner none), and PostgreSQL itself checks that rows and bounds agree.
set local role fleet_owner;

create function fleet_audit_month_name(p_month date) returns text language sql immutable as $$
  select 'audit_log_' || to_char(p_month, 'YYYY_MM')
$$;

-- Like its sisters: rows are read and written through audit_log, and nobody empties it.
create function fleet_audit_guard(p_table text) returns void language plpgsql as $$
begin
  execute format('alter table %I enable row level security', p_table);
  execute format('alter table %I force row level security', p_table);
  execute format('create trigger %I before truncate on %I for each statement execute function fleet_append_only()',
    p_table || '_not_truncated', p_table);
end $$;

-- Makes this month and the next `p_ahead` ones. 'done', or 'again' when another call has to go on in a transaction of its own.
-- What is in the default partition, from before there were months or from when nobody made any, stays where it is: that
-- table becomes the partition of its time, and an empty default takes its place. For that PostgreSQL has to see that all rows lie
-- within; a large table is looked through beforehand, by a check that is validated while everybody goes on writing.
create function fleet_audit_months(p_ahead integer, p_small bigint default 67108864) returns text
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
    -- Where the months that exist end; months are made without gaps, so what is in the default lies behind it.
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
      -- Nobody went on with it for weeks, and soon it would refuse what is written: begin again.
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
    -- Transactions that write now have chosen the default already, and would be refused once the month is there: they come first, others wait.
    lock table only audit_log in share row exclusive mode;
    execute format('create table %I (like audit_log including defaults including constraints)', name);
    perform fleet_audit_guard(name);
    execute format('alter table audit_log attach partition %I for values from (%L) to (%L)', name,
      month::timestamp at time zone 'UTC', (month + interval '1 month')::timestamp at time zone 'UTC');
  end loop;
  return 'done';
end $$;

-- Takes the oldest month away, with all that is in it. Only with a checkpoint made for it just before, which says so: as that is
-- signed, and the heads that it signs tell from where on chains go on, a month that goes in any other way is named by the next
-- check. Never a month that is not over for a month yet.
create function fleet_audit_drop_month(p_name text, p_checkpoint bigint) returns void
language plpgsql security definer set search_path = public, pg_temp as $$
declare
  ends timestamptz;
  oldest timestamptz;
begin
  set local lock_timeout = '2s';
  select max(m.until) filter (where m.name = p_name), min(m.until) into ends, oldest
  from (
    select c.relname as name,
      substring(pg_get_expr(c.relpartbound, c.oid) from 'TO \(''([^'']+)''\)')::timestamptz as until
    from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'public.audit_log'::regclass) m;
  if ends is null or ends > oldest or ends > now() - interval '1 month' then
    raise exception '% is not the oldest month of the audit log, or not over for a month', p_name;
  end if;
  if not exists (select from audit_checkpoints where id = p_checkpoint and id = (select max(id) from audit_checkpoints)
    and at > now() - interval '10 minutes' and removed @> jsonb_build_array(jsonb_build_object('month', p_name))) then
    raise exception 'no checkpoint says that % goes', p_name;
  end if;
  execute format('alter table audit_log detach partition %I', p_name);
  execute format('drop table %I', p_name);
end $$;

revoke execute on function fleet_audit_drop_month(text, bigint) from public;
grant execute on function fleet_audit_drop_month(text, bigint) to fleet_worker;

revoke execute on function fleet_audit_months(integer, bigint), fleet_audit_guard(text) from public;
grant execute on function fleet_audit_months(integer, bigint) to fleet_worker;

reset role;
