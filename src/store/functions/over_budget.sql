-- Returns the first used-up budget or daily cap of the operator or the tenant, or the first one with less left than the task's
-- own budget (`p_budget`); null when there is none.
create or replace function fleet_over_budget(p_tenant text, p_operator text, p_budget jsonb) returns jsonb language sql stable as $$
  select jsonb_build_object('scope', case when b.operator_id = '*' then 'tenant' else 'operator' end, 'what', c.what,
    'daily', c.daily, 'limit', c.maximum, 'used', c.used)
  from budgets b
    left join spending e on e.tenant_id = b.tenant_id and e.operator_id = b.operator_id and e.period = 'ever'
    left join spending d on d.tenant_id = b.tenant_id and d.operator_id = b.operator_id and d.period = fleet_today()
    cross join lateral (values (1, 'tokens', false, b.tokens, e.tokens), (2, 'cost', false, b.cost, e.cost),
      (3, 'minutes', false, b.minutes, e.minutes), (4, 'tokens', true, b.daily_tokens, d.tokens),
      (5, 'cost', true, b.daily_cost, d.cost)) as l(ord, what, daily, maximum, spent)
    cross join lateral (select l.ord, l.what, l.daily, l.maximum, coalesce(l.spent, 0) as used,
      case when jsonb_typeof(p_budget->l.what) = 'number' then (p_budget->>l.what)::double precision else 0 end as wanted) as c
  where b.tenant_id = p_tenant and b.operator_id in (p_operator, '*')
    and (c.used >= c.maximum or c.used + c.wanted > c.maximum)
  order by b.operator_id = '*', c.ord limit 1
$$;
