drop table reviews;
drop table ci_runs;
drop table pull_requests;
