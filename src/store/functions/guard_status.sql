-- The database's own copy of VALID_TRANSITIONS, so that faulty code cannot move a task in another way. A test compares them.
create or replace function fleet_guard_status() returns trigger language plpgsql as $$
begin
  if not (old.status || '>' || new.status) = any (array[
    'proposed>spawning', 'proposed>cancelled',
    'spawning>running', 'spawning>failed', 'spawning>cancelled',
    'running>pr_created', 'running>failed', 'running>cancelled',
    'pr_created>reviewing', 'pr_created>failed', 'pr_created>cancelled', 'pr_created>merged',
    'reviewing>ready', 'reviewing>rejected', 'reviewing>failed', 'reviewing>cancelled', 'reviewing>merged',
    'ready>merged', 'ready>rejected', 'ready>cancelled',
    'rejected>retrying', 'rejected>abandoned', 'rejected>cancelled',
    'failed>retrying', 'failed>abandoned', 'failed>cancelled',
    'retrying>spawning', 'retrying>abandoned', 'retrying>cancelled']) then
    raise exception 'task % cannot go from % to %', old.id, old.status, new.status using errcode = 'FW001';
  end if;
  return new;
end $$;
create or replace trigger fleet_tasks_guard_status before update of status on fleet_tasks
  for each row when (old.status is distinct from new.status) execute function fleet_guard_status();
