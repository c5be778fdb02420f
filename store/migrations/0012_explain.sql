-- Up Migration

-- What live leases take of each node, of whichever accounts: whether there is room is nobody's secret, whose jobs take it is.
create function rgrid_node_use() returns table (node_id text, slots bigint, memory_bytes bigint) language sql stable security definer set search_path = public, pg_temp
  as $$ select a.node_id, sum(a.slots)::bigint, sum(a.memory_bytes)::bigint from attempts a where a.finished_at is null group by a.node_id $$;
revoke all on function rgrid_node_use() from public;
grant execute on function rgrid_node_use() to rgrid_gateway;
create index nodes_ended on nodes (ended_at) where ended_at is not null;

-- Down Migration

drop index nodes_ended;
drop function rgrid_node_use;
