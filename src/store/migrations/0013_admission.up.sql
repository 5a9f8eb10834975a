-- 0013 expand: budgets and daily caps, what was used of them, whose turn it is when hosts are short, alerts that were
-- raised, and which checks ran when. The gate of 0006 asks for slot, budget and cap at once; its callers need not change.
set local role fleet_owner;

-- What an operator, or (operator `*`) a whole tenant, may use: ever, and in one day (UTC). Null: as much as they like.
create table budgets (
  tenant_id    text             not null,
  operator_id  text             not null,
  tokens       double precision,
  cost         double precision,
  minutes      double precision,
  daily_tokens double precision,
  daily_cost   double precision,
  daily_tasks  integer,
  updated_by   text             not null,
  updated_at   timestamptz      not null default now(),
  constraint budgets_pkey primary key (tenant_id, operator_id),
  constraint budgets_owner_said check (tenant_id <> '' and operator_id <> ''),
  constraint budgets_not_negative check (least(tokens, cost, minutes, daily_tokens, daily_cost, daily_tasks) >= 0)
);

-- What was used: `period` is 'ever' or a day; a row per operator, and one (`*`) for the sum of the tenant.
create table spending (
  tenant_id   text             not null,
  operator_id text             not null,
  period      text collate "C" not null,
  tokens      double precision not null default 0,
  cost        double precision not null default 0,
  minutes     double precision not null default 0,
  tasks       integer          not null default 0,
  constraint spending_pkey primary key (tenant_id, operator_id, period),
  constraint spending_owner_said check (tenant_id <> '' and operator_id <> ''),
  constraint spending_not_negative check (tokens >= 0 and cost >= 0 and minutes >= 0 and tasks >= 0)
) with (fillfactor = 70);

-- What each attempt has used so far; null: its agent said nothing. The task's own `spend` is their sum.
alter table attempts add column tokens double precision;
alter table attempts add column cost double precision;
alter table attempts add column minutes double precision not null default 0;

-- When a tenant (operator `*`), and an operator within it, was last called to a free host: who waited longest is next.
create table turns (
  tenant_id   text   not null,
  operator_id text   not null,
  served      bigint not null,
  constraint turns_pkey primary key (tenant_id, operator_id),
  constraint turns_owner_said check (tenant_id <> '' and operator_id <> '')
);
create sequence turns_served;

-- Who waits for a host, each operator's oldest first; and who was called and is on the way.
create index fleet_tasks_in_line on fleet_tasks (tenant_id, operator_id, created_at, id)
  where condition = 'waiting_slot' and waiting_for = 'spawn' and condition_detail ? 'host';
create index fleet_tasks_called on fleet_tasks (created_at)
  where condition = 'ok' and waiting_for = 'spawn' and condition_detail ? 'called';

-- What is wrong now, or was: told when an episode begins and when it ends, once each.
create table alerts (
  key         text collate "C" not null,
  tenant_id   text             not null,
  operator_id text             not null,
  kind        text             not null,
  episode     integer          not null default 1,
  is_open     boolean          not null default true,
  summary     text             not null,
  facts       jsonb            not null default '{}',
  raised_at   timestamptz      not null default now(),
  ended_at    timestamptz,
  constraint alerts_pkey primary key (key),
  constraint alerts_owner_said check (tenant_id <> '' and operator_id <> ''),
  constraint alerts_ended_when_closed check (is_open = (ended_at is null))
);
create index alerts_open on alerts (kind) where is_open;

-- The checks of the house itself: when each last ran to its end, and what it found.
create table checks (
  name         text             not null,
  period_ms    double precision not null,
  since        timestamptz      not null default now(),
  last_good_at timestamptz,
  took_ms      double precision not null default 0,
  worker       text             not null default '',
  result       jsonb            not null default '{}',
  constraint checks_pkey primary key (name),
  constraint checks_period_positive check (period_ms > 0)
) with (fillfactor = 50);

do $$
declare
  t text;
  mine constant text := 'tenant_id = (select nullif(current_setting(''app.tenant_id'', true), ''''))';
  own constant text := mine || ' and operator_id = (select nullif(current_setting(''app.operator_id'', true), ''''))';
  -- A request counts its task for itself and for its tenant; nothing else of either row is its to write (grants).
  counted constant text := mine || ' and operator_id in ((select nullif(current_setting(''app.operator_id'', true), '''')), ''*'')';
begin
  foreach t in array array['budgets', 'spending', 'turns', 'alerts'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy %I on %I to fleet_worker using (true) with check (true)', t || '_worker', t);
    execute format('create policy %I on %I for select to fleet_app using (%s and (operator_id in '
      '((select nullif(current_setting(''app.operator_id'', true), '''')), ''*'') '
      'or (select current_setting(''app.scope'', true)) = ''tenant''))', t || '_app_reads', t, mine);
    execute format('create policy %I on %I for insert to fleet_app with check (%s)', t || '_app_inserts', t,
      case when t = 'spending' then counted else own end);
    execute format('create policy %I on %I for update to fleet_app using (%s) with check (%s)', t || '_app_updates', t,
      case when t = 'spending' then counted else own end, case when t = 'spending' then counted else own end);
    execute format('create policy %I on %I for delete to fleet_app using (%s)', t || '_app_deletes', t, own);
    execute format('grant select on %I to fleet_app, fleet_worker', t);
    execute format('grant insert, update, delete on %I to fleet_worker', t);
  end loop;
end $$;
grant insert (tenant_id, operator_id, period) on spending to fleet_app;
grant update (tasks) on spending to fleet_app;
grant usage on sequence turns_served to fleet_worker;
grant select, insert, update, delete on checks to fleet_worker;

create function fleet_today() returns text language sql stable as $$
  select to_char(now() at time zone 'utc', 'YYYY-MM-DD')
$$;

-- The first budget or cap of these two that has nothing left, or not as much as the task may use; null when all have.
create function fleet_over_budget(p_tenant text, p_operator text, p_asked jsonb) returns jsonb language sql stable as $$
  select jsonb_build_object('scope', case when b.operator_id = '*' then 'tenant' else 'operator' end, 'what', c.what,
    'daily', c.daily, 'limit', c.most, 'used', c.used)
  from budgets b
    left join spending e on e.tenant_id = b.tenant_id and e.operator_id = b.operator_id and e.period = 'ever'
    left join spending d on d.tenant_id = b.tenant_id and d.operator_id = b.operator_id and d.period = fleet_today()
    cross join lateral (values (1, 'tokens', false, b.tokens, e.tokens), (2, 'cost', false, b.cost, e.cost),
      (3, 'minutes', false, b.minutes, e.minutes), (4, 'tokens', true, b.daily_tokens, d.tokens),
      (5, 'cost', true, b.daily_cost, d.cost)) as l(ord, what, daily, most, spent)
    cross join lateral (select l.ord, l.what, l.daily, l.most, coalesce(l.spent, 0) as used,
      case when jsonb_typeof(p_asked->l.what) = 'number' then (p_asked->>l.what)::double precision else 0 end as asked) as c
  where b.tenant_id = p_tenant and b.operator_id in (p_operator, '*')
    and (c.used >= c.most or c.used + c.asked > c.most)
  order by b.operator_id = '*', c.ord limit 1
$$;

-- Counts one more task of the day for the operator and the tenant, or for neither, and says whose cap is reached. The
-- rows are locked the operator's first, as everywhere.
create function fleet_take_daily_task(p_tenant text, p_operator text) returns jsonb language plpgsql as $$
declare
  owned record;
  counted integer;
begin
  for owned in
    select operator_id, daily_tasks from budgets
    where tenant_id = p_tenant and operator_id in (p_operator, '*') and daily_tasks is not null order by operator_id = '*'
  loop
    insert into spending as s (tenant_id, operator_id, period) values (p_tenant, owned.operator_id, fleet_today())
    on conflict on constraint spending_pkey do update set tasks = s.tasks returning s.tasks into counted;
    if counted >= owned.daily_tasks then
      return jsonb_build_object('scope', case when owned.operator_id = '*' then 'tenant' else 'operator' end, 'what', 'tasks',
        'daily', true, 'limit', owned.daily_tasks, 'used', counted);
    end if;
  end loop;
  update spending s set tasks = s.tasks + 1 from budgets b
  where b.tenant_id = p_tenant and b.operator_id in (p_operator, '*') and b.daily_tasks is not null
    and s.tenant_id = b.tenant_id and s.operator_id = b.operator_id and s.period = fleet_today();
  return null;
end $$;

-- What agents of one host say they have used, and how long they ran: grows only, counts once, however often it is told.
-- p_batch: [{taskId, attempt, dispatchId, tokens, cost}]. Time in steps of a quarter of a minute.
create function fleet_record_usage(p_batch jsonb) returns integer
-- By index, whatever the tables were like when the plan was made.
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
language plpgsql as $$
declare
  grew integer;
begin
  with said as materialized (
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
    from said s join attempts a on a.task_id = s."taskId" and a.attempt = s.attempt
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
  ), told as (
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
  select count(*)::int into grew from grown;
  return grew;
end $$;

drop function fleet_admit(jsonb, jsonb, integer, jsonb, jsonb);

-- The only gate into the states that hold a slot. The operator's slot row is locked first, so requests of one operator
-- queue here and nowhere else; same key and same request gives the task that exists.
create function fleet_admit(p_context jsonb, p_task jsonb, p_limit integer, p_hints jsonb, p_event jsonb)
returns table (outcome text, held integer, task_id uuid, cap jsonb) language plpgsql as $$
declare
  asked fleet_tasks := jsonb_populate_record(null::fleet_tasks, p_task);
  active_now integer;
  known record;
  over jsonb;
begin
  if p_context is not null then perform fleet_enter(p_context); end if;

  select s.active into active_now from slots s where s.operator_id = asked.operator_id for update;
  if not found then return query select 'unknown_operator', 0, null::uuid, null::jsonb; return; end if;

  if asked.idempotency_key is not null then
    select t.id, t.request_hash into known from fleet_tasks t
    where t.operator_id = asked.operator_id and t.idempotency_key = asked.idempotency_key;
    if found then
      return query select case when known.request_hash = asked.request_hash then 'repeated' else 'key_reused' end,
        active_now, known.id, null::jsonb;
      return;
    end if;
  end if;

  if active_now >= p_limit then
    perform fleet_audit(asked.operator_id, asked.operator_id, 'spawn.denied',
      jsonb_build_object('limit', p_limit, 'held', active_now, 'repository', asked.repository));
    return query select 'denied', active_now, null::uuid, null::jsonb;
    return;
  end if;

  -- Where no budget was set this is one look into an index, and locks nothing that operators share.
  if exists (select from budgets b where b.tenant_id = asked.tenant_id and b.operator_id in (asked.operator_id, '*')) then
    over := coalesce(fleet_over_budget(asked.tenant_id, asked.operator_id, asked.budget),
      fleet_take_daily_task(asked.tenant_id, asked.operator_id));
    if over is not null then
      perform fleet_audit(asked.operator_id, asked.operator_id, 'spawn.denied', over || jsonb_build_object('repository', asked.repository));
      return query select 'capped', active_now, null::uuid, over;
      return;
    end if;
  end if;

  update slots s set active = s.active + 1 where s.operator_id = asked.operator_id;
  insert into fleet_tasks (id, tenant_id, operator_id, agent_type, model, routing_reason, task_type, title, description,
    repository, base_branch, branch, max_retries, timeout_minutes, metadata, idempotency_key, request_hash, waiting_for,
    due_at, trace_id, budget, audit_seq, audit_head)
  select asked.id, asked.tenant_id, asked.operator_id, asked.agent_type, asked.model, asked.routing_reason,
    asked.task_type, asked.title, asked.description, asked.repository, asked.base_branch, asked.branch,
    asked.max_retries, asked.timeout_minutes, asked.metadata, asked.idempotency_key, asked.request_hash,
    asked.waiting_for, now(), asked.trace_id, coalesce(asked.budget, '{}'), 1,
    fleet_audit_hash('', 1, now(), asked.operator_id, 'spawn.asked', jsonb_build_object('to', 'proposed', 'held', active_now + 1));
  insert into audit_log (tenant_id, operator_id, chain, seq, task_id, actor, action, detail, hash)
  select t.tenant_id, t.operator_id, 'task:' || t.id, 1, t.id, t.operator_id, 'spawn.asked',
    jsonb_build_object('to', 'proposed', 'held', active_now + 1), t.audit_head
  from fleet_tasks t where t.id = asked.id;
  insert into outbox (tenant_id, operator_id, task_id, topic, dedup_key, payload, processed_at)
  select asked.tenant_id, asked.operator_id, asked.id, hint.topic, hint."dedupKey", hint.payload, null
  from jsonb_to_recordset(p_hints) as hint (topic text, "dedupKey" text, payload jsonb)
  union all
  select asked.tenant_id, asked.operator_id, asked.id, 'event', 'event_' || (p_event->>'id'), p_event, now();
  return query select 'admitted', active_now + 1, asked.id, null::jsonb;
end $$;

-- Back into the states that hold a slot (failed or rejected → retrying): the transition, which counts the slot, then the
-- same gate. In this order, because everybody locks tasks before slots; a refusal undoes both.
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

reset role;
