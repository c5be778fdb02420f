-- Up Migration

-- The nodes that failed a job by trouble that is not its own: others come first (docs/adr/0025). null: none did.
alter table jobs add column avoid_nodes text[];

-- Whether the attempt ended by the fault of its node, whatever the job is.
alter table attempts add column node_fault boolean not null default false;
create index attempts_node_fault on attempts (finished_at) where node_fault;

-- Since when, and why, the platform itself gives a node no work.
alter table nodes add column cordoned_at timestamptz;
alter table nodes add column cordon_reason text;
-- What failed there before is not held against it: it was let take work again.
alter table nodes add column trusted_from timestamptz;
alter table nodes add constraint cordon_has_reason check ((cordoned_at is null) = (cordon_reason is null));
alter table nodes add constraint cordoned_takes_nothing check (cordoned_at is null or (drain_requested_at is not null and not drain_planned));

grant update (cordoned_at, cordon_reason, trusted_from) on nodes to rgrid_gateway;

-- Down Migration

alter table nodes drop constraint cordoned_takes_nothing, drop constraint cordon_has_reason;
alter table nodes drop column cordoned_at, drop column cordon_reason, drop column trusted_from;
drop index attempts_node_fault;
alter table attempts drop column node_fault;
alter table jobs drop column avoid_nodes;
