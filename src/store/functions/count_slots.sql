-- Counts tasks that enter or leave the states that hold a slot, by any statement. (Admission counts for itself, because it has
-- to lock the row before it inserts.) It is one statement for all rows of an update, operators in order, so that two batches
-- cannot deadlock. The lock order everywhere is: tasks by id, then slots by operator.
create or replace function fleet_count_slots() returns trigger language plpgsql as $$
begin
  if exists (
    select from before join after using (id) where fleet_holds_slot(before.status) <> fleet_holds_slot(after.status)
  ) then
    with moved as (
      select before.operator_id, sum(case when fleet_holds_slot(after.status) then 1 else -1 end)::int as n
      from before join after using (id) where fleet_holds_slot(before.status) <> fleet_holds_slot(after.status)
      group by before.operator_id
    ), held as (
      select slots.operator_id from slots join moved using (operator_id) order by slots.operator_id for update of slots
    )
    update slots set active = greatest(active + moved.n, 0) from moved, held
    where slots.operator_id = moved.operator_id and held.operator_id = moved.operator_id;
  end if;
  return null;
end $$;
create or replace trigger fleet_tasks_count_slots after update on fleet_tasks
  referencing old table as before new table as after
  for each statement execute function fleet_count_slots();
