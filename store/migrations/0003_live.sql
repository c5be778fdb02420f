-- Up Migration

-- When the live copy of an archived log was let go.
alter table attempts add column log_purged_at timestamptz;
create index attempts_log_to_purge on attempts (finished_at) where log_archived and log_purged_at is null;

-- For the search of logs by time.
create index jobs_started on jobs (project_id, started_at) where started_at is not null;

-- Where a project wants its events sent. 'jobs' is the one of a project that signs what jobs ask for themselves
-- (spec.webhook): it has no address and hears no events, each of its deliveries has an address of its own.
create table webhook_endpoints (
  id text primary key,
  account_id text not null references accounts (id),
  project_id text not null references projects (id),
  kind text not null check (kind in ('endpoint', 'jobs')),
  url text,
  description text,
  events text[] not null,
  enabled boolean not null default true,
  disabled_reason text check (disabled_reason in ('user', 'gone', 'failing')),
  disabled_at timestamptz,
  -- Since when no delivery has succeeded; null after a success.
  failing_since timestamptz,
  created_at timestamptz not null default now(),
  constraint endpoint_has_url check ((kind = 'endpoint') = (url is not null)),
  constraint disabled_has_reason check (enabled = (disabled_reason is null) and enabled = (disabled_at is null))
);
create index webhook_endpoints_by_project on webhook_endpoints (project_id);
create unique index webhook_endpoints_one_for_jobs on webhook_endpoints (project_id) where kind = 'jobs';

-- The secrets that deliveries of an endpoint are signed with: all that have not expired. The gateway writes and cannot read them.
create table webhook_secrets (
  id bigint generated always as identity primary key,
  endpoint_id text not null references webhook_endpoints (id) on delete cascade,
  secret text not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz
);
create index webhook_secrets_by_endpoint on webhook_secrets (endpoint_id);

-- One message to one endpoint, written in the transaction that changed the state. In order among those of one `subject`
-- (the job, or batch, that it is about). `step` is the place in the retry schedule, `tries` how often it was sent in all.
create table webhook_deliveries (
  id bigint generated always as identity primary key,
  endpoint_id text not null references webhook_endpoints (id) on delete cascade,
  project_id text not null,
  event_id bigint,
  subject text not null,
  job_id text,
  batch_id text,
  type text not null,
  data jsonb not null,
  url text,
  state text not null default 'pending' check (state in ('pending', 'delivered', 'failed')),
  step integer not null default 0,
  tries integer not null default 0,
  next_try_at timestamptz default now(),
  -- Until when a scheduler that has taken it may be sending it.
  claimed_until timestamptz,
  last_status integer,
  last_error text,
  created_at timestamptz not null default now(),
  finished_at timestamptz,
  constraint pending_has_time check ((state = 'pending') = (next_try_at is not null)),
  constraint final_has_finished check ((state = 'pending') = (finished_at is null))
) with (fillfactor = 80);
-- Led by the endpoint: an endpoint with a long backlog is read no further than it may be sent to.
create index webhook_deliveries_due on webhook_deliveries (endpoint_id, next_try_at, id) where state = 'pending';
create index webhook_deliveries_order on webhook_deliveries (endpoint_id, subject, id) where state = 'pending';
create index webhook_deliveries_by_endpoint on webhook_deliveries (endpoint_id, id desc);
create index webhook_deliveries_by_job on webhook_deliveries (job_id) where job_id is not null;
create index webhook_deliveries_by_batch on webhook_deliveries (batch_id) where job_id is null and batch_id is not null;
create index webhook_deliveries_alone on webhook_deliveries (project_id, finished_at) where job_id is null and batch_id is null;

-- Every time that a delivery was sent, and what came back; the first 4 KiB of the answer.
create table webhook_tries (
  delivery_id bigint not null references webhook_deliveries (id) on delete cascade,
  number integer not null,
  at timestamptz not null,
  duration_ms integer not null,
  status integer,
  error text,
  response_body text,
  primary key (delivery_id, number)
);

grant select on webhook_endpoints, webhook_deliveries, webhook_tries to rgrid_gateway;
grant insert, delete on webhook_endpoints to rgrid_gateway;
grant update (url, description, events, enabled, disabled_reason, disabled_at, failing_since) on webhook_endpoints to rgrid_gateway;
grant select (id, endpoint_id, created_at, expires_at), insert, update (expires_at) on webhook_secrets to rgrid_gateway;
grant insert on webhook_deliveries to rgrid_gateway;
grant update (state, step, next_try_at, claimed_until, finished_at, last_error) on webhook_deliveries to rgrid_gateway;
grant select on webhook_endpoints, webhook_secrets to rgrid_scheduler;
grant update (enabled, disabled_reason, disabled_at, failing_since) on webhook_endpoints to rgrid_scheduler;
grant select, insert, update, delete on webhook_deliveries to rgrid_scheduler;
grant select, insert on webhook_tries to rgrid_scheduler;

-- Down Migration

drop table webhook_tries, webhook_deliveries, webhook_secrets, webhook_endpoints;
drop index jobs_started, attempts_log_to_purge;
alter table attempts drop column log_purged_at;
