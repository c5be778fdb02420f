-- Up Migration

-- What an hour of each kind of machine costs, and from when until when it did: a change adds a row (docs/COSTS.md).
create table prices (
  provider text not null,
  server_type text not null,
  location text not null,
  valid_from timestamptz not null default now(),
  -- null: it holds.
  valid_until timestamptz,
  hour_microns bigint not null check (hour_microns >= 0),
  -- Whether a started hour is paid in full, or by the second.
  billing text not null check (billing in ('hour', 'second')),
  primary key (provider, server_type, location, valid_from),
  check (valid_until > valid_from)
);
create unique index prices_holding on prices (provider, server_type, location) where valid_until is null;

-- Until when a machine was paid for: when its provider took the order to delete it. null: as long as it is there.
alter table nodes add column billed_until timestamptz;
-- The first of its hours that is not closed, counted from 0; null: all of them are, and there will be no more.
alter table nodes add column next_hour integer default 0 check (next_hour >= 0);
create index nodes_to_close on nodes (id) where next_hour is not null;
create index attempts_by_node on attempts (node_id, finished_at) where finished_at is not null;

-- Paid hours that are over, and what of each nobody used. Of machines that cost nothing only those in which something ran.
create table node_hours (
  node_id text not null,
  hour integer not null check (hour >= 0),
  from_at timestamptz not null,
  until_at timestamptz not null,
  -- In UTC, when it began.
  day date not null,
  provider text,
  server_type text,
  location text,
  hour_microns bigint not null check (hour_microns >= 0),
  paid_microns bigint not null check (paid_microns between 0 and hour_microns),
  idle_microns bigint not null check (idle_microns between 0 and paid_microns),
  closed_at timestamptz not null default now(),
  primary key (node_id, hour),
  check (until_at >= from_at)
);
create index node_hours_by_day on node_hours (day);

-- The shares of attempts in paid hours. No foreign keys: they outlive what they tell of. When a job goes (retention) its
-- rows are added up with others of the same hour, batch and labels: then there is no attempt and no job.
create table attempt_costs (
  node_id text not null,
  hour integer not null,
  day date not null,
  account_id text not null,
  project_id text not null,
  batch_id text,
  job_id text,
  attempt_id text,
  labels jsonb not null,
  -- How many ended in this hour; what they were charged stands in it.
  attempts integer not null,
  slot_ms bigint not null,
  cost_microns bigint not null check (cost_microns >= 0),
  charge_microns bigint not null check (charge_microns >= 0),
  check ((job_id is null) = (attempt_id is null))
);
create unique index attempt_costs_by_hour on attempt_costs (node_id, hour, attempt_id);
create index attempt_costs_by_day on attempt_costs (account_id, project_id, day);
create index attempt_costs_by_job on attempt_costs (job_id) where job_id is not null;

-- What a job is an instance of (core/job/workload.ts), to tell from the ones before how long it will take.
alter table jobs add column workload text;
create index jobs_history on jobs (project_id, workload, finished_at desc) where state = 'succeeded' and workload is not null;

-- Parts of a monthly limit that were reached, each told once a month.
create table spending_marks (
  owner_id text not null,
  month date not null,
  percent smallint not null check (percent in (50, 80, 100)),
  account_id text not null references accounts (id),
  at timestamptz not null default now(),
  primary key (owner_id, month, percent)
);

do $$
declare
  tenant text;
begin
  foreach tenant in array array['attempt_costs', 'spending_marks'] loop
    execute format('alter table %I enable row level security', tenant);
    execute format('create policy gateway on %I to rgrid_gateway using (account_id = (select rgrid_account()) or (select rgrid_account()) = ''*'')
      with check (account_id = (select rgrid_account()))', tenant);
    execute format('create policy scheduler on %I to rgrid_scheduler using (true) with check (true)', tenant);
  end loop;
end $$;
-- What machines cost, and how much of it nobody used, is the operators'.
alter table node_hours enable row level security;
create policy gateway on node_hours to rgrid_gateway using ((select rgrid_account()) = '*');
create policy scheduler on node_hours to rgrid_scheduler using (true) with check (true);

grant select on node_hours, attempt_costs, spending_marks to rgrid_gateway;
grant insert on spending_marks to rgrid_gateway;
grant select, insert on prices, node_hours, attempt_costs to rgrid_scheduler;
grant update (valid_until) on prices to rgrid_scheduler;
grant delete on attempt_costs to rgrid_scheduler;

-- Down Migration

drop table spending_marks, attempt_costs, node_hours, prices;
drop index jobs_history, attempts_by_node, nodes_to_close;
alter table jobs drop column workload;
alter table nodes drop column billed_until, drop column next_hour;
