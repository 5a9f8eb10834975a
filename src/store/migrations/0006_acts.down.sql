drop function fleet_readmit(jsonb, text, integer, jsonb);
drop function fleet_admit(jsonb, jsonb, integer, jsonb, jsonb);
drop function fleet_audit(text, text, text, jsonb);
drop function fleet_transition(jsonb, jsonb);
drop function fleet_channels(text, text, jsonb);
