-- Up Migration

-- What jobs of a project are given besides their spec, and credentials of registries. `sealed` is opened by the scheduler
-- alone, when a job is claimed (core/sealer.ts); the gateway writes it and cannot read it.
create table secrets (
  id text primary key,
  account_id text not null references accounts (id),
  project_id text not null references projects (id),
  name text not null,
  kind text not null check (kind in ('value', 'registry')),
  registry_server text,
  sealed text not null,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  last_used_at timestamptz,
  unique (project_id, name),
  constraint registry_has_server check ((kind = 'registry') = (registry_server is not null))
);
create unique index secrets_one_for_a_registry on secrets (project_id, registry_server) where kind = 'registry';

alter table secrets enable row level security;
create policy gateway on secrets to rgrid_gateway using (account_id = (select rgrid_account()) or (select rgrid_account()) = '*')
  with check (account_id = (select rgrid_account()) or (select rgrid_account()) = '*');
create policy scheduler on secrets to rgrid_scheduler using (true) with check (true);

grant select (id, account_id, project_id, name, kind, registry_server, version, created_at, updated_at, last_used_at), insert, delete on secrets to rgrid_gateway;
grant update (registry_server, sealed, version, updated_at) on secrets to rgrid_gateway;
grant select on secrets to rgrid_scheduler;
grant update (last_used_at) on secrets to rgrid_scheduler;

-- Down Migration

drop table secrets;
