-- Moves a task back into the states that hold a slot (failed or rejected to retrying): first the transition, which counts the
-- slot, then the checks of admission. The order matters, because every transaction locks tasks before slots; a refusal undoes both.
create or replace function fleet_readmit(p_context jsonb, p_operator text, p_limit integer, p_batch jsonb)
returns table (ord integer, version integer, epoch integer, audit_seq integer, audit_head text, lease_until timestamptz,
  due_at timestamptz, spawned_at timestamptz, completed_at timestamptz, condition_since timestamptz, updated_at timestamptz)
language plpgsql as $$
declare
  over jsonb;
begin
  if p_context is not null then perform fleet_enter(p_context); end if;
  return query select * from fleet_transition(null, p_batch);
  if not found then raise exception 'stale version' using errcode = 'FW003'; end if;
  if (select s.active from slots s where s.operator_id = p_operator) > p_limit then
    raise exception 'no free slot' using errcode = 'FW002';
  end if;
  select fleet_over_budget(t.tenant_id, t.operator_id, '{}') into over from fleet_tasks t
  where t.id = (p_batch->0->>'id')::uuid
    and exists (select from budgets b where b.tenant_id = t.tenant_id and b.operator_id in (t.operator_id, '*'));
  if over is not null then
    raise exception 'no budget is left' using errcode = 'FW004', detail = over::text;
  end if;
end $$;
