-- The channels for an operator's notifications: the operator's own choice, else the tenant's, else those of the notification,
-- else the terminal. A value that is not a list of names, or an empty list, is ignored: a wrong setting must neither stop a
-- transition nor leave the end of a task without a notification.
create or replace function fleet_channels(p_tenant text, p_operator text, p_otherwise jsonb) returns setof text
language sql stable as $$
  select channel from jsonb_array_elements_text(coalesce(
    (select value from fleet_config where tenant_id = p_tenant and operator_id = p_operator and key = 'notify.channels'
       and jsonb_typeof(value) = 'array' and value <> '[]'),
    (select value from fleet_config where tenant_id = p_tenant and operator_id = '*' and key = 'notify.channels'
       and jsonb_typeof(value) = 'array' and value <> '[]'),
    case when jsonb_typeof(p_otherwise) = 'array' and p_otherwise <> '[]' then p_otherwise end,
    '["terminal"]'::jsonb)) as channel
  where channel is not null
$$;
