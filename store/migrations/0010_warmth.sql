-- Up Migration

-- A machine that was bought keeps the name and the pool that it was ordered with.
revoke update (name, pool) on nodes from rgrid_gateway;

-- Down Migration

grant update (name, pool) on nodes to rgrid_gateway;
