-- Records what the agents of one host have used, and how long they ran. Figures only grow, so that a repeated report counts once.
-- p_batch: [{taskId, attempt, dispatchId, tokens, cost}]. Minutes are stored in steps of a quarter.
create or replace function fleet_record_usage(p_batch jsonb) returns integer
-- Always by index: a plan that was cached while the tables were small would scan them.
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
language plpgsql as $$
declare
  changed integer;
begin
  with reported as materialized (
    select distinct on ("taskId") * from jsonb_to_recordset(p_batch) as s ("taskId" uuid, attempt integer,
      "dispatchId" uuid, tokens double precision, cost double precision) order by "taskId", attempt desc
  ), old as materialized (
    select a.task_id, a.attempt, a.tenant_id, a.operator_id, a.tokens, a.cost, a.minutes, a.ended_at,
      greatest(s.tokens, a.tokens) as new_tokens, greatest(s.cost, a.cost) as new_cost,
      greatest(a.minutes, case when a.running_at is null then 0 else extract(epoch from coalesce(a.ended_at, now()) - a.running_at
        - case when t.attempt = a.attempt then coalesce((t.metadata->>'excusedMs')::double precision, 0) * interval '1 ms'
            + case when t.condition in ('needs_input', 'waiting_quota', 'operator_attached', 'paused') and a.ended_at is null
                then now() - coalesce(t.condition_since, now()) else interval '0' end
          else interval '0' end) / 60 end)::double precision as new_minutes
    from reported s join attempts a on a.task_id = s."taskId" and a.attempt = s.attempt
      join fleet_tasks t on t.id = a.task_id
    where s."dispatchId" is null or a.dispatch_id = s."dispatchId"
    order by a.task_id for no key update of a
  ), grown as (
    update attempts a set tokens = o.new_tokens, cost = o.new_cost, minutes = o.new_minutes
    from old o
    where a.task_id = o.task_id and a.attempt = o.attempt
      and (o.new_tokens is distinct from o.tokens or o.new_cost is distinct from o.cost
        or o.new_minutes >= o.minutes + 0.25 or (o.ended_at is not null and o.new_minutes > o.minutes))
    returning o.task_id, o.tenant_id, o.operator_id, o.new_tokens - coalesce(o.tokens, 0) as tokens,
      o.new_cost - coalesce(o.cost, 0) as cost, o.new_minutes - o.minutes as minutes
  ), charged as (
    update fleet_tasks t set spend = t.spend || jsonb_strip_nulls(jsonb_build_object(
      'tokens', case when g.tokens is not null then coalesce((t.spend->>'tokens')::double precision, 0) + g.tokens end,
      'cost', case when g.cost is not null then coalesce((t.spend->>'cost')::double precision, 0) + g.cost end,
      'minutes', coalesce((t.spend->>'minutes')::double precision, 0) + g.minutes))
    from grown g where t.id = g.task_id
  ), summed as (
    insert into spending as s (tenant_id, operator_id, period, tokens, cost, minutes)
    select g.tenant_id, owner.id, period, sum(coalesce(g.tokens, 0)), sum(coalesce(g.cost, 0)), sum(g.minutes)
    from grown g cross join lateral (values (g.operator_id), ('*')) as owner(id)
      cross join lateral (values ('ever'), (fleet_today())) as p(period)
    group by g.tenant_id, owner.id, period order by owner.id = '*', g.tenant_id, owner.id, period
    on conflict on constraint spending_pkey do update set tokens = s.tokens + excluded.tokens,
      cost = s.cost + excluded.cost, minutes = s.minutes + excluded.minutes
  )
  select count(*)::int into changed from grown;
  return changed;
end $$;
