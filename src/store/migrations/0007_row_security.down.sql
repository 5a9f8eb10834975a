do $$
declare t text; p text;
begin
  foreach t in array array['operators', 'slots', 'fleet_tasks', 'attempts', 'audit_log', 'outbox', 'fleet_notifications',
    'heartbeats', 'pull_requests', 'ci_runs', 'reviews', 'work_orders', 'runs', 'artifacts', 'schedules', 'drift_reports',
    'reputation', 'fleet_config'] loop
    foreach p in array array['worker', 'app_reads', 'app_inserts', 'app_updates', 'app_deletes'] loop
      execute format('drop policy %I on %I', t || '_' || p, t);
    end loop;
    execute format('alter table %I no force row level security', t);
    execute format('alter table %I disable row level security', t);
    execute format('revoke all on %I from fleet_app, fleet_worker', t);
  end loop;
end $$;
alter table audit_log_rest no force row level security;
alter table audit_log_rest disable row level security;
revoke all on hosts, signing_keys, audit_checkpoints from fleet_app, fleet_worker;
