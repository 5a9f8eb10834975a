/** A fleet with a long history: a million tasks of fifty tenants with their audit, events, orders and runs; listings must cope with it. */
import type { Operator } from "../src/domain/operator.ts";
import type { Database, BenchWorld } from "./world.ts";

export const TENANTS = 50;
export const OPERATORS_PER_TENANT = 20;
/** Tables that grow over the years; the others stay small. */
export const GROWING_TABLES = [
  "fleet_tasks",
  "audit_log",
  "outbox",
  "work_orders",
  "runs",
  "fleet_notifications",
  "attempts",
];

export interface History {
  readonly database: Database;
  readonly tasks: number;
  readonly seedingMs: number;
}

let shared: Promise<History> | undefined;

/** Built once for all rows that read it; none of them writes. */
export function sharedHistory(world: BenchWorld): Promise<History> {
  shared ??= world.database().then((database) => seedHistory(database, world.size(1_000_000, 20_000)));
  return shared;
}

export function tenantName(at: number): string {
  return `tenant-${String(at).padStart(2, "0")}`;
}

/** The operator of the tenant with that number: its first one, or another. */
export function tenantOperator(tenant: number, at = 0): Operator {
  return { id: `${tenantName(tenant)}-op-${at}`, tenantId: tenantName(tenant), tier: "sovereign" };
}

/** Skips guards, counters and foreign keys, as a replica does; indexes are created afterwards, which takes half the time. */
async function seedHistory(database: Database, tasks: number): Promise<History> {
  const from = performance.now();
  const indexes = await database.query(
    `select indexname as name, indexdef as definition from pg_indexes i
     where tablename = any($1) and not exists (select from pg_constraint c where c.conname = i.indexname)`,
    [FILLED_TABLES],
  );
  for (const { name } of indexes) await database.query(`drop index ${String(name)}`);
  await database.query(OPERATORS, [TENANTS, OPERATORS_PER_TENANT]);
  await database.query(HOSTS);
  // Inserts halves of the years in parallel, because one connection uses one processor.
  const half = Math.floor(tasks / 2);
  const parts = [
    [0, half],
    [half, tasks],
  ];
  for (const statement of [TASKS, AUDIT]) {
    await Promise.all(parts.map(([low, high]) => database.query(statement, [low, high, tasks])));
  }
  for (const statement of [EVENTS, NOTIFICATIONS, ATTEMPTS, ORDERS, RUNS, FACTS, SLOTS]) {
    await database.query(statement, statement.includes("$1") ? [tasks] : []);
  }
  // A partitioned table's index is dumped with "on only", which alone would give no partition the index.
  await forEachConcurrently(2, indexes, ({ definition }) =>
    database.query(String(definition).replace(" ON ONLY ", " ON ")),
  );
  // The state after an hour of work, when autovacuum has run.
  await forEachConcurrently(2, [...GROWING_TABLES, "operators", "slots", "heartbeats"], (table) =>
    database.query(`vacuum (analyze) ${table}`),
  );
  return { database, tasks, seedingMs: performance.now() - from };
}

async function forEachConcurrently<Item>(
  callers: number,
  items: readonly Item[],
  work: (item: Item) => Promise<unknown>,
) {
  const left = [...items];
  const call = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: callers }, call));
}

const FILLED_TABLES = ["fleet_tasks", "audit_log", "outbox", "work_orders", "runs", "fleet_notifications"];

/** The setting holds for the statement's transaction: it is evaluated before the first row is written. */
const PAST = "past as materialized (select set_config('session_replication_role', 'replica', true))";

const OPERATORS = `
  insert into operators (id, tenant_id, tier)
  select format('tenant-%s-op-%s', lpad(t::text, 2, '0'), o), format('tenant-%s', lpad(t::text, 2, '0')), 'sovereign'
  from generate_series(0, $1::int - 1) as t, generate_series(0, $2::int - 1) as o`;

const HOSTS = `
  insert into hosts (id, boot_id, reporter, lease_until, slots)
  select 'host-' || n, 'boot', 'bench', now() + interval '1 hour', 100 from generate_series(0, 39) as n`;

/** Who owns number n: few tenants are large, most are small. Every statement over tasks uses the same expression. */
const OWNED = `
  (hashint8extended(n, 1) & 4294967295) / 4294967296.0 as chance,
  lpad(floor(${TENANTS} * power((hashint8extended(n, 2) & 4294967295) / 4294967296.0, 2))::int::text, 2, '0') as tenant,
  (n * 7919::bigint) % ${OPERATORS_PER_TENANT} as op,
  now() - interval '3 years' * (1 - n / $3::float8) as at,
  lpad(to_hex(1700000000000 + n * 90000::bigint), 12, '0') || '7' || substr(md5(n::text), 13, 3) || '8' ||
    substr(md5(n::text), 16, 3) || lpad(to_hex(n), 12, '0') as id`;

/** 0.2 % are in progress, 0.2 % wait, the rest has ended; 2 % of those were archived. */
const TASKS = `
  with ${PAST}, numbered as (
    select n, ${OWNED} from past, generate_series($1::int, $2::int - 1) as n
  ), inserted as (
    select *, case when n < $3::int * 0.996 then (array['merged', 'abandoned', 'cancelled'])[
        case when chance < 0.75 then 1 when chance < 0.87 then 2 else 3 end]
      when n < $3::int * 0.998 then (array['proposed', 'retrying'])[1 + n % 2]
      else (array['spawning', 'running', 'running', 'running', 'pr_created', 'reviewing', 'ready', 'failed', 'rejected'])[1 + n % 9] end as status
    from numbered
  )
  insert into fleet_tasks (id, tenant_id, operator_id, agent_type, task_type, title, description, repository, base_branch,
    branch, status, condition, host, attempt, dispatch_id, version, epoch, audit_seq, audit_head, spend, waiting_for, due_at,
    spawned_at, completed_at, removed_at, created_at, updated_at)
  select id::uuid, 'tenant-' || tenant, 'tenant-' || tenant || '-op-' || op,
    case when chance < 0.7 then 'claude_code' when chance < 0.85 then 'codex' when chance < 0.93 then 'gemini'
      when chance < 0.97 then 'opencode' when chance < 0.9999 then 'command' else 'stub' end,
    (array['bug_fix', 'feature', 'feature', 'refactor', 'docs'])[1 + n % 5],
    'Make change ' || n, 'Change number ' || n || '. ' || repeat('Do this and that with care. ', 10),
    '/srv/git/shop-' || n % 400 || '.git', 'main', 'fleet/' || lpad(to_hex(n), 8, '0') || '-change', status,
    case when status = 'proposed' then 'waiting_slot' else 'ok' end, 'host-' || n % 40, 1, gen_random_uuid(), 6, 6, 1, md5('head' || n),
    '{"tokens": 120000, "cost": 1.25, "minutes": 14}', case when status in ('proposed', 'retrying') then 'spawn' end,
    case when status in ('proposed', 'retrying') then now() + interval '1 day' end,
    at, case when status in ('merged', 'abandoned', 'cancelled') then at + interval '20 minutes' end,
    case when status in ('merged', 'abandoned', 'cancelled') and chance * 1000 % 50 < 1 then at + interval '1 hour' end, at, at
  from inserted`;

const AUDIT = `
  with ${PAST}, numbered as (select n, ${OWNED} from past, generate_series($1::int, $2::int - 1) as n)
  insert into audit_log (at, tenant_id, operator_id, chain, seq, task_id, actor, action, detail, hash)
  select at, 'tenant-' || tenant, 'tenant-' || tenant || '-op-' || op, 'task:' || id::uuid, 1, id::uuid, 'host-1/1/abc', 'task.merged',
    '{"from": "ready", "to": "merged", "reason": null}', md5('head' || n)
  from numbered`;

/** The events that retention leaves: the last tenth. */
const EVENTS = `
  with ${PAST}
  insert into outbox (tenant_id, operator_id, task_id, topic, dedup_key, payload, processed_at, created_at)
  select t.tenant_id, t.operator_id, t.id, 'event', 'event_' || t.id, jsonb_build_object('specversion', '1.0', 'id', t.id,
      'source', '/fleetwright', 'type', 'com.fleetwright.task.merged', 'time', '2026-01-02T03:04:05.000Z', 'subject', t.id, 'datacontenttype',
      'application/json', 'tenantid', t.tenant_id, 'traceparent', null, 'data', jsonb_build_object('operatorId', t.operator_id)), t.created_at, t.created_at
  from past, fleet_tasks t where t.created_at > now() - interval '3 years' / 10 and $1::int > 0`;

const NOTIFICATIONS = `
  with ${PAST}
  insert into fleet_notifications (tenant_id, operator_id, task_id, type, channel, dedup_key, summary, facts, status, created_at, delivered_at)
  select tenant_id, operator_id, id, 'merged', 'terminal', 'merged/' || id, 'Merged: ' || title, '{}', 'delivered', created_at, created_at
  from past, fleet_tasks where created_at > now() - interval '3 years' / 10 and $1::int > 0`;

const ATTEMPTS = `
  with ${PAST}
  insert into attempts (task_id, tenant_id, operator_id, attempt, dispatch_id, host, agent_type, started_at, closed_at)
  select id, tenant_id, operator_id, 0, dispatch_id, host, agent_type, created_at, completed_at from past, fleet_tasks
  where created_at > now() - interval '3 years' / 10 and $1::int > 0`;

const ORDERS = `
  with ${PAST}
  insert into work_orders (id, tenant_id, operator_id, product_id, intent, subject, budget, status, source, created_at, updated_at, completed_at)
  select gen_random_uuid(), tenant_id, operator_id, 'shop-' || n % 8, (array['validate', 'test', 'regenerate_report', 'drift_check'])[1 + n % 4],
    'n' || n, '{"max_actions": 10}', case when n <= 200 then 'pending' when n % 9 = 0 then 'failed' else 'completed' end, 'schedule', created_at, created_at,
    case when n > 200 then created_at end
  from (select row_number() over (order by created_at desc) as n, * from fleet_tasks, past limit $1::int / 5) as t`;

const RUNS = `
  with ${PAST}
  insert into runs (id, tenant_id, operator_id, order_id, product_id, intent, host, status, exit_code, started_at, ended_at)
  select gen_random_uuid(), o.tenant_id, o.operator_id, o.id, o.product_id, o.intent, 'host-1', case when o.status = 'failed' then 'failed' else 'success' end, 0,
    o.created_at, o.created_at
  from past, work_orders o where o.status <> 'pending'`;

const FACTS = `
  with ${PAST}
  insert into heartbeats (task_id, tenant_id, operator_id, attempt, dispatch_id, host, pane, process, pid, heartbeat_at,
    heartbeat_status, out_bytes, cpu_ms, last_output_at)
  select id, tenant_id, operator_id, attempt, dispatch_id, host, 'alive', 'alive', 4242, now(), 'busy', 1000, 1000, now()
  from past, fleet_tasks where status in ('spawning', 'running', 'pr_created', 'reviewing') on conflict (task_id) do nothing`;

const SLOTS = `
  with ${PAST}
  insert into slots (operator_id, tenant_id, active)
  select operator_id, tenant_id, count(*) filter (where status in ('proposed', 'spawning', 'running', 'pr_created', 'reviewing', 'retrying'))
  from past, fleet_tasks group by 1, 2
  on conflict (operator_id) do update set active = excluded.active`;
