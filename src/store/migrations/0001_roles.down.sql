-- The roles stay: other databases of this server may use them, and they can do nothing by themselves.
drop function fleet_enter(jsonb);
