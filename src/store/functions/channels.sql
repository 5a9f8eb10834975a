-- Which channels hear of an operator's tasks: the operator's own choice, else the tenant's, else what the note says, else
-- the terminal alone. What is no list of names, or an empty one, is no choice: a setting must neither stop a transition
-- nor let an end go unrecorded.
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
