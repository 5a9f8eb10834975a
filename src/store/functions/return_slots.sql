-- Retention deletes only what has ended; should anybody delete more, its slots come back too.
create or replace function fleet_return_slots() returns trigger language plpgsql as $$
begin
  with held as (
    select slots.operator_id from slots
    where slots.operator_id in (select operator_id from gone where fleet_holds_slot(status))
    order by slots.operator_id for update
  )
  update slots set active = greatest(active - (select count(*) from gone
    where gone.operator_id = held.operator_id and fleet_holds_slot(gone.status))::int, 0)
  from held where slots.operator_id = held.operator_id;
  return null;
end $$;
create or replace trigger fleet_tasks_return_slots after delete on fleet_tasks
  referencing old table as gone for each statement execute function fleet_return_slots();
