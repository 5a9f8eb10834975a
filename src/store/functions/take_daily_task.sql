-- Counts one more task of the day for both operator and tenant, or for neither, and returns the daily cap that is reached. It
-- locks the operator's row before the tenant's, as every transaction does.
create or replace function fleet_take_daily_task(p_tenant text, p_operator text) returns jsonb language plpgsql as $$
declare
  budget record;
  counted integer;
begin
  for budget in
    select operator_id, daily_tasks from budgets
    where tenant_id = p_tenant and operator_id in (p_operator, '*') and daily_tasks is not null order by operator_id = '*'
  loop
    insert into spending as s (tenant_id, operator_id, period) values (p_tenant, budget.operator_id, fleet_today())
    on conflict on constraint spending_pkey do update set tasks = s.tasks returning s.tasks into counted;
    if counted >= budget.daily_tasks then
      return jsonb_build_object('scope', case when budget.operator_id = '*' then 'tenant' else 'operator' end, 'what', 'tasks',
        'daily', true, 'limit', budget.daily_tasks, 'used', counted);
    end if;
  end loop;
  update spending s set tasks = s.tasks + 1 from budgets b
  where b.tenant_id = p_tenant and b.operator_id in (p_operator, '*') and b.daily_tasks is not null
    and s.tenant_id = b.tenant_id and s.operator_id = b.operator_id and s.period = fleet_today();
  return null;
end $$;
