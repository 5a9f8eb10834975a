-- Records an action without a task (a refusal, a login, a setting) in the operator's own chain.
create or replace function fleet_audit(p_operator text, p_actor text, p_action text, p_detail jsonb) returns void
language sql as $$
  with moved as (
    update operators o set audit_seq = o.audit_seq + 1,
      audit_head = fleet_audit_hash(o.audit_head, o.audit_seq + 1, now(), p_actor, p_action, p_detail)
    where o.id = p_operator
    returning o.*
  )
  insert into audit_log (tenant_id, operator_id, chain, seq, actor, action, detail, hash)
  select tenant_id, id, 'operator:' || id, audit_seq, p_actor, p_action, p_detail, audit_head from moved
$$;
