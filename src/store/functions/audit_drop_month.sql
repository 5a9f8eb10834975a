-- Drops the oldest month of the audit log with all its entries, once it has been over for a month. It requires a checkpoint, made
-- just before, that names the month. Because that checkpoint is signed, and signs after which entry each chain continues,
-- verification reports a month that is removed in any other way.
create or replace function fleet_audit_drop_month(p_name text, p_checkpoint bigint) returns void
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
    raise exception '% is not the oldest month of the audit log, or has not been over for a month', p_name;
  end if;
  if not exists (select from audit_checkpoints where id = p_checkpoint and id = (select max(id) from audit_checkpoints)
    and at > now() - interval '10 minutes' and removed @> jsonb_build_array(jsonb_build_object('month', p_name))) then
    raise exception 'no checkpoint names the removal of %', p_name;
  end if;
  execute format('alter table audit_log detach partition %I', p_name);
  execute format('drop table %I', p_name);
end $$;

revoke execute on function fleet_audit_drop_month(text, bigint) from public;
grant execute on function fleet_audit_drop_month(text, bigint) to fleet_worker;
