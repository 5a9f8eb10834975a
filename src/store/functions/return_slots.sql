-- Returns the slots of deleted tasks. Retention deletes only ended tasks, which hold none, but a statement that deletes others must not
-- lose slots.
create or replace function fleet_return_slots() returns trigger language plpgsql as $$
begin
  with held as (
    select slots.operator_id from slots
    where slots.operator_id in (select operator_id from deleted where fleet_holds_slot(status))
    order by slots.operator_id for update
  )
  update slots set active = greatest(active - (select count(*) from deleted
    where deleted.operator_id = held.operator_id and fleet_holds_slot(deleted.status))::int, 0)
  from held where slots.operator_id = held.operator_id;
  return null;
end $$;
create or replace trigger fleet_tasks_return_slots after delete on fleet_tasks
  referencing old table as deleted for each statement execute function fleet_return_slots();
