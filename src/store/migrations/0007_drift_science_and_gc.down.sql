set local role fleet_owner;

drop table gc_reports;
drop table gc_marks;
drop table dossiers;
drop table looks;
drop table drift_baselines;
drop table drift_reports;
