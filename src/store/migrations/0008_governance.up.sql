-- Signing keys, tokens, kill switches, budgets, and the fleet's checks of itself.
set local role fleet_owner;

create table signing_keys (
  id          text        not null,
  public_jwk  jsonb       not null,
  sealed_private bytea    not null,
  sealed_with text        not null,
  created_at  timestamptz not null default now(),
  active_from timestamptz not null default now(),
  retire_at   timestamptz,
  revoked_at  timestamptz,
  constraint signing_keys_pkey primary key (id),
  constraint signing_keys_public_only check (not public_jwk ? 'd')
);

-- The claims of a token, never the token itself.
create table tokens (
  jti         text        collate "C" not null,
  tenant_id   text        not null,
  operator_id text        not null,
  purpose     text        not null,
  tier        text        not null,
  role        text,
  name        text        not null default '',
  issued_by   text        not null,
  issued_at   timestamptz not null default now(),
  expires_at  timestamptz not null,
  revoked_at  timestamptz,
  revoked_by  text,
  constraint tokens_pkey primary key (jti),
  constraint tokens_operator foreign key (operator_id, tenant_id) references operators (id, tenant_id) on delete cascade,
  constraint tokens_purpose_known check (purpose in ('access', 'session')),
  constraint tokens_name_bounded check (length(name) <= 100),
  constraint tokens_revoked_said check ((revoked_at is null) = (revoked_by is null))
);
-- A `jti` begins with the time, so this index lists an operator's tokens newest first.
create index tokens_by_operator on tokens (operator_id, jti desc);
create index tokens_by_end on tokens (expires_at);

-- Revoked tokens, ours and those of another issuer, of which only issuer and `jti` are known. Web processes read all rows
-- whose `until` has not passed; after it the token has expired anyway. Tenant and operator are those of who revoked it.
create table revoked_tokens (
  issuer      text        not null,
  jti         text        not null,
  tenant_id   text        not null,
  operator_id text        not null,
  until       timestamptz not null,
  revoked_at  timestamptz not null default now(),
  constraint revoked_tokens_pkey primary key (issuer, jti),
  constraint revoked_tokens_bounded check (length(issuer) <= 2048 and length(jti) <= 128)
);
create index revoked_tokens_by_end on revoked_tokens (until);

-- Used login links: a link works once, whichever web process receives it.
create table spent_logins (
  jti         text        not null,
  tenant_id   text        not null,
  operator_id text        not null,
  until       timestamptz not null,
  constraint spent_logins_pkey primary key (jti)
);
create index spent_logins_by_end on spent_logins (until);

-- Kill switches that are on, in addition to those in fleet.yaml. Workers read them before every start.
create table kill_switches (
  tenant_id   text        not null,
  operator_id text        not null,
  scope       text        not null,
  subject     text        not null,
  mode        text        not null default 'park',
  reason      text        not null,
  at          timestamptz not null default now(),
  ends_orders boolean     not null default true,
  constraint kill_switches_pkey primary key (tenant_id, scope, subject),
  constraint kill_switches_scope_known check (scope in ('agent', 'product', 'tenant', 'fleet')),
  constraint kill_switches_mode_known check (mode in ('park', 'freeze', 'abort')),
  constraint kill_switches_reason_said check (reason <> '')
);

-- The limits of an operator, or (operator `*`) of a whole tenant: in total, and per day (UTC). Null: no limit.
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

-- Usage: `period` is 'ever' or a day. There is a row per operator, and one (`*`) for the sum of the tenant.
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

-- The fleet's checks of itself: when each last finished, and its result.
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
