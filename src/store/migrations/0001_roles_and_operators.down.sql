-- The roles stay: other databases of this server may use them, and they can do nothing by themselves.
revoke select on fleet_migrations from fleet_worker;
set local role fleet_owner;

drop table slots;
drop table operators;

-- Functions have no migrations of their own (see ../functions), so the first migration removes them all.
do $$
declare f regprocedure;
begin
  for f in select oid from pg_proc
    where pronamespace = 'public'::regnamespace and proowner = 'fleet_owner'::regrole
  loop
    execute format('drop function %s', f);
  end loop;
end $$;
