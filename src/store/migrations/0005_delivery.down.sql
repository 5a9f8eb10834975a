set local role fleet_owner;

drop table reputation;
drop table reviews;
drop table ci_runs;
drop table pull_requests;
