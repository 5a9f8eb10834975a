-- 0014 contract: no more months are made. Those that are there stay, with what is in them: they are read as before.
set local role fleet_owner;

drop function fleet_audit_drop_month(text, bigint);
drop function fleet_audit_months(integer, bigint);
drop function fleet_audit_guard(text);
drop function fleet_audit_month_name(date);

reset role;
