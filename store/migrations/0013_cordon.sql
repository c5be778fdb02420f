-- Up Migration

-- The nodes that failed a job by trouble that is not its own: others come first (docs/adr/0025). null: none did.
alter table jobs add column avoid_nodes text[];

-- Whether a node that is heard, takes work, is large enough and not among these could take a job. In plpgsql, so that the claim, which
-- is planned each time, does not plan it too.
create function rgrid_others_could(wanted_slots smallint, wanted_bytes bigint, avoided text[]) returns boolean language plpgsql stable
  set search_path = public, pg_temp
  as $$ begin
    return exists (
      select 1 from nodes n where n.state = 'ready' and n.drain_requested_at is null and n.last_seen_at > now() - interval '10 seconds'
        and n.slots >= wanted_slots and n.memory_bytes >= wanted_bytes and n.id <> all(avoided)
    );
  end $$;
revoke all on function rgrid_others_could(smallint, bigint, text[]) from public;
grant execute on function rgrid_others_could(smallint, bigint, text[]) to rgrid_scheduler;

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
drop function rgrid_others_could;
alter table jobs drop column avoid_nodes;
