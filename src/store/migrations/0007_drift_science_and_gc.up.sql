-- Drift findings and their baselines, research dossiers, and the records of garbage collection.
set local role fleet_owner;

create table drift_reports (
  id          uuid        not null,
  tenant_id   text        not null,
  operator_id text        not null,
  subject     text        not null,
  what        text        not null,
  product_id  text,
  declared    jsonb,
  actual      jsonb,
  severity    text        not null,
  command     text,
  host        text,
  status      text        not null default 'open',
  since       timestamptz not null default now(),
  seen_at     timestamptz not null default now(),
  accepted    jsonb,
  constraint drift_reports_pkey primary key (id),
  constraint drift_reports_severity_known check (severity in ('low', 'medium', 'high')),
  constraint drift_reports_status_known check (status in ('open', 'accepted', 'gone'))
);
create unique index drift_reports_open on drift_reports (tenant_id, subject, what) where status = 'open';
create index drift_reports_by_tenant on drift_reports (tenant_id, status, since desc, id desc);

-- The expected values. One is recorded when a value is first seen, or when an operator accepts a finding.
create table drift_baselines (
  tenant_id   text        not null,
  operator_id text        not null,
  subject     text        not null,
  what        text        not null,
  value       jsonb       not null,
  accepted_by text        not null,
  reason      text        not null default '',
  at          timestamptz not null default now(),
  constraint drift_baselines_pkey primary key (tenant_id, subject, what)
);

-- When a product (or the whole fleet) was last scanned, at which commit, and what the scan could not check and why.
create table looks (
  tenant_id   text        not null,
  operator_id text        not null,
  kind        text        not null,
  subject     text        not null,
  at          timestamptz not null,
  commit_sha  text,
  not_checked jsonb       not null default '[]',
  constraint looks_pkey primary key (tenant_id, kind, subject),
  constraint looks_kind_known check (kind in ('drift', 'science'))
);

-- The front matter of research dossiers, one row per file; `problems` when it cannot be read.
create table dossiers (
  tenant_id   text        not null,
  operator_id text        not null,
  product_id  text        not null,
  path        text        not null,
  dossier_id  text,
  topic       text,
  status      text,
  owner       text,
  hypothesis  text,
  evidence    jsonb       not null default '[]',
  written_at  timestamptz,
  commit_sha  text        not null,
  problems    jsonb,
  design      jsonb,
  order_id    uuid,
  status_since timestamptz not null default now(),
  seen_at     timestamptz not null default now(),
  constraint dossiers_pkey primary key (tenant_id, product_id, path),
  constraint dossiers_status_known check (status in ('proposed', 'running', 'validated', 'rejected', 'handed_off'))
);
create index dossiers_by_status on dossiers (tenant_id, status, product_id, path);

-- What gc has quarantined on a host and deletes after a grace period. It belongs to the machine, not to a tenant.
create table gc_marks (
  id          uuid        not null,
  host        text        not null,
  kind        text        not null,
  subject     text        not null,
  path        text        not null,
  quarantine  text        not null,
  reason      text        not null,
  restore     text        not null,
  bytes       bigint      not null default 0,
  marked_at   timestamptz not null default now(),
  swept_at    timestamptz,
  constraint gc_marks_pkey primary key (id),
  constraint gc_marks_kind_known check (kind in ('run', 'workspace', 'branch', 'snapshot', 'mirror', 'socket', 'attempt'))
);
create unique index gc_marks_open on gc_marks (host, path) where swept_at is null;
create index gc_marks_by_host on gc_marks (host, marked_at);

-- A request to a host to collect, and the host's report. The requester waits for `done_at`; a host that missed the hint
-- finds the row.
create table gc_reports (
  id          uuid        not null,
  host        text        not null,
  asked_by    text        not null,
  ask         jsonb       not null,
  report      jsonb,
  asked_at    timestamptz not null default now(),
  done_at     timestamptz,
  constraint gc_reports_pkey primary key (id)
);
create index gc_reports_open on gc_reports (host, asked_at) where done_at is null;
create index gc_reports_by_age on gc_reports (asked_at);
