-- Up Migration

alter table jobs drop constraint jobs_cause_check;
alter table jobs add constraint jobs_cause_check check (cause in
  ('exit', 'timeout', 'oom', 'cancelled', 'image', 'input', 'output', 'prepare_timeout', 'queue_timeout', 'lost', 'interrupted', 'runner_error'));
-- Until when the job may stay in the queue this time; null: for ever.
alter table jobs add column queue_until timestamptz;
alter table jobs add constraint queue_limit_while_queued check (queue_until is null or state = 'queued');
create index jobs_queue_until on jobs (queue_until) where queue_until is not null;
create index jobs_finished on jobs (project_id, finished_at) where finished_at is not null;

alter table attempts drop constraint attempts_cause_check;
alter table attempts add constraint attempts_cause_check check (cause in
  ('exit', 'timeout', 'oom', 'cancelled', 'image', 'input', 'output', 'prepare_timeout', 'lost', 'interrupted', 'runner_error'));
-- What its node said of an attempt that had been taken from it: kept to be seen, changes nothing.
alter table attempts add column late_cause text;
alter table attempts add column late_exit_code integer;
alter table attempts add column late_at timestamptz;
alter table attempts add column log_expired_at timestamptz;
alter table attempts add constraint late_has_time check ((late_cause is null) = (late_at is null));

alter table artifacts add column expired_at timestamptz;

-- `drain_requested_at`: an operator wants no more work there. `containers`: the attempts whose containers the node said it has.
alter table nodes add column drain_requested_at timestamptz;
alter table nodes add column containers text[] not null default '{}';
alter table nodes add column containers_at timestamptz;

-- For the deletion of a batch: its own events, not those of its jobs.
create index events_by_batch on events (batch_id) where job_id is null;

alter table projects add column retain_jobs_days integer not null default 90 check (retain_jobs_days between 1 and 3650);
alter table projects add column retain_logs_days integer not null default 30 check (retain_logs_days between 1 and 3650);
alter table projects add column retain_artifacts_days integer not null default 30 check (retain_artifacts_days between 1 and 3650);

-- Objects that may be in object storage and are not wanted: promised to a node and not (yet) reported, or past their
-- retention. Written before the object can exist, so there is never an object without a row. Deleted at `delete_at`,
-- and once more at `expires_at`, after which nobody can upload them any more.
create table pending_objects (
  key text primary key,
  attempt_id text not null,
  delete_at timestamptz not null,
  expires_at timestamptz not null,
  check (delete_at <= expires_at)
);
create index pending_objects_due on pending_objects (delete_at);
create index pending_objects_by_attempt on pending_objects (attempt_id);

grant select on pending_objects, outbox to rgrid_gateway;
grant update (drain_requested_at) on nodes to rgrid_gateway;
grant update (queue_until) on jobs to rgrid_gateway;
grant update (retain_jobs_days, retain_logs_days, retain_artifacts_days) on projects to rgrid_gateway;
grant select, insert, update, delete on pending_objects to rgrid_scheduler;
grant update (containers, containers_at) on nodes to rgrid_scheduler;
grant update (expired_at) on artifacts to rgrid_scheduler;
grant delete on jobs, attempts, artifacts, events, batches to rgrid_scheduler;

-- Down Migration

drop table pending_objects;
alter table projects drop column retain_jobs_days, drop column retain_logs_days, drop column retain_artifacts_days;
alter table nodes drop column drain_requested_at, drop column containers, drop column containers_at;
alter table artifacts drop column expired_at;
alter table attempts drop column late_cause, drop column late_exit_code, drop column late_at, drop column log_expired_at;
drop index jobs_finished, events_by_batch;
alter table jobs drop column queue_until;
