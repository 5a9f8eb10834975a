set local role fleet_owner;

drop table checks;
drop table spending;
drop table budgets;
drop table kill_switches;
drop table spent_logins;
drop table revoked_tokens;
drop table tokens;
drop table signing_keys;
