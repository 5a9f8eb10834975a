-- 0012 contract: tokens are believed until they end, and what a token claims is all there is.
set local role fleet_owner;

drop table spent_logins;
drop table revoked_tokens;
drop table tokens;
alter table operators drop column disabled_at, drop column role;

reset role;
