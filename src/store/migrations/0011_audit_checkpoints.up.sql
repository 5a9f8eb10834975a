-- 0011 expand: signed checkpoints over all audit chains. What a checkpoint signs is a digest over audit_heads, which holds
-- how long each chain was and with which hash, so that a chain that is gone or was cut is missed.
set local role fleet_owner;

-- `removed_*`: up to where entries were taken away on purpose (a whole month, by retention); checking begins behind it.
create table audit_heads (
  chain        text collate "C" not null,
  tenant_id    text             not null,
  operator_id  text             not null,
  seq          integer          not null,
  head         text             not null,
  removed_seq  integer          not null default 0,
  removed_hash text             not null default '',
  constraint audit_heads_pkey primary key (chain),
  constraint audit_heads_owner_said check (tenant_id <> '' and operator_id <> ''),
  constraint audit_heads_removed_within check (removed_seq between 0 and seq)
);

do $$
declare
  mine constant text := 'tenant_id = (select nullif(current_setting(''app.tenant_id'', true), ''''))';
  own constant text := mine || ' and operator_id = (select nullif(current_setting(''app.operator_id'', true), ''''))';
begin
  alter table audit_heads enable row level security;
  alter table audit_heads force row level security;
  create policy audit_heads_worker on audit_heads to fleet_worker using (true) with check (true);
  execute format('create policy audit_heads_app_reads on audit_heads for select to fleet_app using (%s and '
    '(operator_id = (select nullif(current_setting(''app.operator_id'', true), '''')) '
    'or (select current_setting(''app.scope'', true)) = ''tenant''))', mine);
  execute format('create policy audit_heads_app_inserts on audit_heads for insert to fleet_app with check (%s)', own);
  execute format('create policy audit_heads_app_updates on audit_heads for update to fleet_app using (%s) with check (%s)', own, own);
  execute format('create policy audit_heads_app_deletes on audit_heads for delete to fleet_app using (%s)', own);
end $$;

-- Requests read their tenant's heads; only processors write them.
grant select on audit_heads to fleet_app, fleet_worker;
grant insert, update, delete on audit_heads to fleet_worker;

-- `previous`: the signature before, so that none can be taken out of the row. `removed`: what retention took with this one.
alter table audit_checkpoints add column previous text not null default '';
alter table audit_checkpoints add column removed jsonb not null default '[]';
create trigger audit_checkpoints_append_only before update or delete on audit_checkpoints
  for each row execute function fleet_append_only();
create trigger audit_checkpoints_not_truncated before truncate on audit_checkpoints
  for each statement execute function fleet_append_only();

reset role;
