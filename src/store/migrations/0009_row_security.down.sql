set local role fleet_owner;

revoke all on sequence turns_served from fleet_app, fleet_worker;
do $$
declare
  t text;
  p text;
begin
  -- Partitions of the audit log never had a policy or a grant; their row security stays.
  for t in select relname from pg_class
    where relnamespace = 'public'::regnamespace and relowner = 'fleet_owner'::regrole
      and relkind in ('r', 'p') and not relispartition
  loop
    for p in select policyname from pg_policies where schemaname = 'public' and tablename = t loop
      execute format('drop policy %I on %I', p, t);
    end loop;
    execute format('alter table %I no force row level security', t);
    execute format('alter table %I disable row level security', t);
    execute format('revoke all on %I from fleet_app, fleet_worker', t);
  end loop;
end $$;
