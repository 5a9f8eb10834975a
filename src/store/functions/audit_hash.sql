-- The hash of an entry, over the hash of the one before. It is declared stable, not immutable, so that PostgreSQL inlines it (a
-- call takes ten times as long).
create or replace function fleet_audit_hash(p_head text, p_seq integer, p_at timestamptz, p_actor text, p_action text, p_detail jsonb)
returns text language sql stable parallel safe as $$
  select encode(sha256(convert_to(concat_ws(E'\n', p_head, p_seq::text,
    to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), p_actor, p_action, p_detail::text), 'UTF8')), 'hex')
$$;
