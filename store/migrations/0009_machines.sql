-- Up Migration

-- Machines that are bought: a node's row is written before the provider hears of it (docs/AUTOSCALER.md).
alter table nodes drop constraint nodes_state_check;
alter table nodes add constraint nodes_state_check check (state in
  ('planned', 'creating', 'booting', 'ready', 'draining', 'lost', 'deleting', 'gone', 'failed'));
alter table nodes alter column public_key drop not null;
alter table nodes alter column version drop not null;
alter table nodes alter column enrolled_at drop not null;
alter table nodes alter column enrolled_at drop default;
-- null: set up by hand; nobody buys or deletes it.
alter table nodes add column provider text;
alter table nodes add column server_type text;
alter table nodes add column location text;
alter table nodes add column arch text not null default 'amd64' check (arch in ('amd64', 'arm64'));
-- The provider's own id of the machine; null until the order was answered.
alter table nodes add column server_id text;
-- What an hour of it costs, as it was when it was bought.
alter table nodes add column hour_microns bigint not null default 0 check (hour_microns >= 0);
-- From here on its hours are paid.
alter table nodes add column billed_from timestamptz;
alter table nodes add column created_at timestamptz not null default now();
update nodes set created_at = enrolled_at;
alter table nodes add column state_at timestamptz not null default now();
-- Why it will or will not be removed, as the planner said last; and why it failed.
alter table nodes add column verdict text;
alter table nodes add column failure text;
alter table nodes add column ended_at timestamptz;
-- The drain was decided by the planner, which may take it back; one that somebody asked for it may not.
alter table nodes add column drain_planned boolean not null default false;
-- Images it has, as it said at its last renewal.
alter table nodes add column images text[] not null default '{}';
alter table nodes add constraint bought_has_cell check (provider is null or (server_type is not null and location is not null));
alter table nodes add constraint enrolled_has_key check ((public_key is null) = (enrolled_at is null));
alter table nodes add constraint working_is_enrolled check (state not in ('ready', 'draining', 'lost') or public_key is not null);
alter table nodes add constraint by_hand_is_enrolled check (provider is not null or public_key is not null);
update nodes set ended_at = now() where state = 'gone';
alter table nodes add constraint ended_has_time check ((state in ('gone', 'failed')) = (ended_at is not null));
create unique index nodes_server on nodes (provider, server_id) where server_id is not null and ended_at is null;
create index nodes_present on nodes (state) where ended_at is null;
create function rgrid_node_state_at() returns trigger language plpgsql as $$ begin
  new.state_at := now();
  if new.state in ('gone', 'failed') then new.ended_at := coalesce(new.ended_at, now()); end if;
  return new;
end $$;
create trigger state_at before update of state on nodes for each row when (old.state <> new.state) execute function rgrid_node_state_at();

-- Since when a node has had nothing to do.
create index attempts_ended_by_node on attempts (node_id, finished_at desc) where finished_at is not null;

-- The node that a token is for; null: whichever machine shows it.
alter table enrolment_tokens add column for_node_id text references nodes (id);

-- What can be bought, as it was seen last; and what the planner decided last: what people are told about machines.
create table cells (
  provider text not null,
  server_type text not null,
  location text not null,
  place integer not null,
  arch text not null,
  slots integer not null,
  memory_bytes bigint not null,
  hour_microns bigint not null,
  available boolean not null,
  error_code text,
  error_message text,
  error_at timestamptz,
  retry_at timestamptz,
  checked_at timestamptz not null default now(),
  primary key (provider, server_type, location)
);
create table scaling (
  one boolean primary key default true check (one),
  provider text not null,
  decided_at timestamptz not null default now(),
  bought_at timestamptz,
  missing_slots integer not null default 0,
  -- One of the planner's shortages, or `limit`, `rate_limited`, `away`, `refused`: what the provider said.
  shortage_code text,
  shortage_detail text,
  shortage_since timestamptz,
  -- Nothing is bought before: the provider said that there is no use in asking.
  paused_until timestamptz,
  boot_seconds real not null default 60
);

grant select on cells, scaling to rgrid_gateway;
grant select, insert, update, delete on cells, scaling to rgrid_scheduler;
grant insert on nodes, enrolment_tokens to rgrid_scheduler;
grant select on enrolment_tokens to rgrid_scheduler;
grant delete on enrolment_tokens to rgrid_scheduler;
grant update on nodes to rgrid_scheduler;
grant update (public_key, version, slots, memory_bytes, name, pool, enrolled_at, drain_planned) on nodes to rgrid_gateway;

-- Down Migration

drop table scaling, cells;
alter table enrolment_tokens drop column for_node_id;
drop trigger state_at on nodes;
drop function rgrid_node_state_at;
alter table nodes drop constraint bought_has_cell, drop constraint enrolled_has_key, drop constraint working_is_enrolled,
  drop constraint by_hand_is_enrolled, drop constraint ended_has_time;
drop index nodes_server, nodes_present, attempts_ended_by_node;
alter table nodes drop column provider, drop column server_type, drop column location, drop column arch, drop column server_id,
  drop column hour_microns, drop column billed_from, drop column created_at, drop column state_at, drop column verdict,
  drop column failure, drop column ended_at, drop column images, drop column drain_planned;
