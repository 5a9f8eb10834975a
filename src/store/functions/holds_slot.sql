-- The database's own copy of SLOT_HOLDING_STATUSES. A test compares them.
create or replace function fleet_holds_slot(p_status text) returns boolean language sql immutable parallel safe as $$
  select p_status in ('proposed', 'spawning', 'running', 'pr_created', 'reviewing', 'retrying')
$$;
