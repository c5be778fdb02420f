-- Up Migration

create table accounts (
  id text primary key,
  name text not null,
  created_at timestamptz not null default now()
);

create table projects (
  id text primary key,
  account_id text not null references accounts (id),
  slug text not null check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  name text not null,
  created_at timestamptz not null default now(),
  unique (account_id, slug)
);

create table api_keys (
  id text primary key,
  project_id text not null references projects (id),
  name text not null,
  prefix text not null,
  hash bytea not null unique check (length(hash) = 32),
  scopes text[] not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  last_used_at timestamptz
);

create table nodes (
  id text primary key,
  name text not null,
  pool text not null,
  public_key text not null,
  state text not null check (state in ('ready', 'draining', 'lost', 'gone')),
  slots integer not null check (slots > 0),
  memory_bytes bigint not null check (memory_bytes > 0),
  version text not null,
  enrolled_at timestamptz not null default now(),
  last_seen_at timestamptz
) with (fillfactor = 70);

create table enrolment_tokens (
  id text primary key,
  hash bytea not null unique check (length(hash) = 32),
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  used_at timestamptz,
  node_id text references nodes (id),
  check ((used_at is null) = (node_id is null))
);

create table files (
  id text primary key,
  account_id text not null references accounts (id),
  project_id text not null references projects (id),
  sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
  size_bytes bigint not null check (size_bytes >= 0),
  key text not null,
  state text not null check (state in ('pending', 'ready')),
  created_at timestamptz not null default now(),
  unique (project_id, sha256)
);

create table batches (
  id text primary key,
  account_id text not null references accounts (id),
  project_id text not null references projects (id),
  name text,
  labels jsonb not null default '{}',
  size integer not null check (size > 0),
  parallel integer check (parallel > 0),
  max_failures integer check (max_failures > 0),
  created_at timestamptz not null default now(),
  finished_at timestamptz
);
create index batches_by_project on batches (project_id, created_at desc);

-- The job row is the queue. `seq` is the age, and the cursor of lists.
create table jobs (
  id text primary key,
  seq bigint generated always as identity,
  account_id text not null references accounts (id),
  project_id text not null references projects (id),
  batch_id text references batches (id),
  batch_index integer,
  name text,
  labels jsonb not null default '{}',
  spec jsonb not null,
  slots smallint not null check (slots > 0),
  memory_bytes bigint not null,
  priority smallint not null check (priority between -100 and 100),
  state text not null check (state in ('held', 'queued', 'running', 'succeeded', 'failed', 'cancelled')),
  hold text check (hold in ('batch', 'backoff', 'not_before')),
  hold_until timestamptz,
  reason text,
  cause text check (cause in ('exit', 'timeout', 'oom', 'cancelled', 'image', 'input', 'output', 'lost', 'interrupted', 'runner_error')),
  exit_code integer,
  message text,
  warnings text[] not null default '{}',
  attempt_count integer not null default 0,
  retries_used integer not null default 0,
  infra_retries_used integer not null default 0,
  cancel_requested_at timestamptz,
  attempt_id text,
  created_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz,
  constraint held_has_hold check ((state = 'held') = (hold is not null)),
  constraint timed_hold_has_time check ((hold in ('backoff', 'not_before')) = (hold_until is not null)),
  constraint final_has_finished check ((state in ('succeeded', 'failed', 'cancelled')) = (finished_at is not null)),
  constraint final_has_cause check ((state in ('succeeded', 'failed', 'cancelled')) = (cause is not null)),
  constraint waiting_has_reason check (state in ('succeeded', 'failed', 'cancelled') or reason is not null),
  constraint running_has_attempt check (state <> 'running' or attempt_id is not null),
  constraint batch_has_index check ((batch_id is null) = (batch_index is null))
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
create index jobs_queue on jobs (priority desc, seq) where state = 'queued';
create index jobs_hold_until on jobs (hold_until) where hold_until is not null;
create index jobs_batch on jobs (batch_id, batch_index) where batch_id is not null;
create index jobs_batch_state on jobs (batch_id, state) where batch_id is not null;
create index jobs_by_project on jobs (project_id, seq desc);

-- One try of a job on one node. The lease is held while the state is one of the first four.
create table attempts (
  id text primary key,
  job_id text not null references jobs (id),
  number integer not null,
  node_id text not null references nodes (id),
  lease_token text not null,
  slots smallint not null,
  memory_bytes bigint not null,
  state text not null check (state in ('assigned', 'preparing', 'running', 'finishing', 'succeeded', 'failed', 'cancelled', 'lost', 'interrupted')),
  cause text check (cause in ('exit', 'timeout', 'oom', 'cancelled', 'image', 'input', 'output', 'lost', 'interrupted', 'runner_error')),
  exit_code integer,
  message text,
  image_digest text,
  log_seq integer,
  log_archived boolean not null default false,
  assigned_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz,
  unique (job_id, number),
  constraint final_has_finished check ((state in ('succeeded', 'failed', 'cancelled', 'lost', 'interrupted')) = (finished_at is not null)),
  constraint final_has_cause check ((state in ('succeeded', 'failed', 'cancelled', 'lost', 'interrupted')) = (cause is not null))
) with (fillfactor = 80);
create index attempts_live on attempts (node_id) where finished_at is null;
create unique index attempts_one_live_per_job on attempts (job_id) where finished_at is null;

create table artifacts (
  id text primary key,
  job_id text not null references jobs (id),
  attempt_id text not null references attempts (id),
  path text not null,
  size_bytes bigint not null check (size_bytes >= 0),
  sha256 text not null,
  executable boolean not null default false,
  key text not null,
  created_at timestamptz not null default now(),
  unique (attempt_id, path)
);
create index artifacts_by_job on artifacts (job_id, path);

-- Lifecycle events, each written in the transaction that changed the state.
create table events (
  id bigint generated always as identity primary key,
  account_id text not null,
  project_id text not null,
  batch_id text,
  job_id text,
  type text not null,
  data jsonb not null,
  created_at timestamptz not null default now()
);
create index events_by_job on events (job_id, id);

-- Events not relayed to the bus yet. `xid` keeps the relay from passing an event of a transaction that is still open.
create table outbox (
  event_id bigint primary key references events (id),
  xid xid8 not null default pg_current_xact_id()
);

-- Roles: made by `store/admin.ts prepare`; neither owns anything, neither may change the schema.
grant select on migrations to rgrid_gateway, rgrid_scheduler;
grant usage on schema public to rgrid_gateway, rgrid_scheduler;
grant select on accounts, projects, nodes, batches, jobs, attempts, artifacts, files, api_keys, enrolment_tokens, events to rgrid_gateway;
grant insert on files, batches, jobs, events, outbox, nodes to rgrid_gateway;
grant update (state, key, size_bytes) on files to rgrid_gateway;
grant delete on files to rgrid_gateway;
grant update (last_used_at) on api_keys to rgrid_gateway;
grant update (used_at, node_id) on enrolment_tokens to rgrid_gateway;
grant update (state) on nodes to rgrid_gateway;
grant update (state, hold, hold_until, reason, cause, message, cancel_requested_at, finished_at) on jobs to rgrid_gateway;
grant update (finished_at) on batches to rgrid_gateway;
grant select on accounts, projects, nodes, batches, jobs, attempts, artifacts, files, events, outbox to rgrid_scheduler;
grant insert on attempts, artifacts, events, outbox to rgrid_scheduler;
grant update on jobs, attempts to rgrid_scheduler;
grant update (finished_at) on batches to rgrid_scheduler;
grant update (state, last_seen_at) on nodes to rgrid_scheduler;
grant delete on outbox to rgrid_scheduler;

-- Down Migration

drop table outbox, events, artifacts, attempts, jobs, batches, files, enrolment_tokens, nodes, api_keys, projects, accounts;
