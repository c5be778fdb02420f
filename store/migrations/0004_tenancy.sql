-- Up Migration

-- Who asked: set for one transaction by store/tenant.ts. '*' is the operator of the installation; unset sees nothing.
create function rgrid_account() returns text language sql stable
  as $$ select current_setting('rgrid.account', true) $$;

alter table accounts add column kind text not null default 'organisation' check (kind in ('personal', 'organisation'));
-- The organisation of an OpenID provider that this account mirrors, or the user whose own it is.
alter table accounts add column issuer text;
alter table accounts add column external_id text;
alter table accounts add constraint external_has_issuer check ((issuer is null) = (external_id is null));
create unique index accounts_external on accounts (issuer, external_id) where issuer is not null;

-- People, as their OpenID provider knows them (OpenID Connect Core 1.0, section 2: `iss` and `sub` name a person for ever).
create table users (
  id text primary key,
  issuer text not null,
  subject text not null,
  email text,
  name text,
  created_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  unique (issuer, subject)
);

-- What a person may do in an account (project_id null) or in one project of it. 'idp': the provider says so, at each sign-in.
create table memberships (
  account_id text not null references accounts (id),
  user_id text not null references users (id),
  project_id text references projects (id),
  role text not null check (role in ('owner', 'admin', 'developer', 'viewer')),
  source text not null default 'manual' check (source in ('manual', 'idp', 'personal')),
  created_at timestamptz not null default now(),
  unique nulls not distinct (account_id, user_id, project_id),
  constraint owners_own_accounts check (project_id is null or role <> 'owner')
);
create index memberships_by_user on memberships (user_id);

-- A project that is deleted takes nothing more; what it kept goes by its retention.
alter table projects add column deleted_at timestamptz;
alter table projects drop constraint projects_account_id_slug_key;
create unique index projects_slug on projects (account_id, slug) where deleted_at is null;

alter table api_keys add column account_id text references accounts (id);
update api_keys k set account_id = p.account_id from projects p where p.id = k.project_id;
alter table api_keys alter column account_id set not null;
alter table api_keys add column environment text not null default 'live' check (environment in ('live', 'test'));
alter table api_keys add column created_by text;
alter table api_keys add column replaced_by text references api_keys (id);
update api_keys set scopes = scopes || '{operator}' where '*' = any(scopes);
create unique index api_keys_prefix on api_keys (prefix);
create index api_keys_by_project on api_keys (project_id);

-- Whose a row is, in the row itself: what row level security looks at.
alter table attempts add column account_id text references accounts (id);
update attempts a set account_id = j.account_id from jobs j where j.id = a.job_id;
alter table attempts alter column account_id set not null;
alter table artifacts add column account_id text references accounts (id);
update artifacts a set account_id = j.account_id from jobs j where j.id = a.job_id;
alter table artifacts alter column account_id set not null;
alter table webhook_deliveries add column account_id text references accounts (id);
update webhook_deliveries d set account_id = p.account_id from projects p where p.id = d.project_id;
alter table webhook_deliveries alter column account_id set not null;

-- Who did what to which object, from where. Nothing of it is ever changed or taken away.
create table audit_log (
  id bigint generated always as identity primary key,
  -- No foreign keys: it outlives what it tells of, and looking them up would cost each submit as much as a tenth more.
  account_id text not null,
  project_id text,
  at timestamptz not null default now(),
  actor_kind text not null check (actor_kind in ('user', 'key', 'operator')),
  actor_id text not null,
  actor_name text not null,
  action text not null,
  object_id text,
  ip text,
  request_id text,
  details jsonb not null default '{}'
);
create index audit_log_by_account on audit_log (account_id, id desc);
create index audit_log_by_project on audit_log (project_id, id desc);
create function rgrid_append_only() returns trigger language plpgsql
  as $$ begin raise exception '% is append-only', tg_table_name; end $$;
create trigger append_only before update or delete or truncate on audit_log for each statement execute function rgrid_append_only();

-- The doors: what must be known before it is known whose request it is. They run as the owner of the tables, past row
-- level security, and answer nothing but this.
create function rgrid_find_key(wanted text)
  returns table (id text, hash bytea, account_id text, project_id text, slug text, name text, scopes text[], seen_recently boolean)
  language sql stable security definer set search_path = public, pg_temp
  as $$
    select k.id, k.hash, k.account_id, k.project_id, p.slug, k.name, k.scopes, coalesce(k.last_used_at > now() - interval '1 minute', false)
    from api_keys k join projects p on p.id = k.project_id
    where k.prefix = wanted and k.revoked_at is null and (k.expires_at is null or k.expires_at > now()) and p.deleted_at is null
  $$;
create function rgrid_touch_key(key_id text) returns void
  language sql security definer set search_path = public, pg_temp
  as $$
    update api_keys set last_used_at = now() where id = key_id and (last_used_at is null or last_used_at <= now() - interval '1 minute')
  $$;

-- The rows that mirror a person, and the account that the token speaks for: the organisation's, or the person's own.
create function rgrid_sign_in(
  who_issuer text, who_subject text, who_email text, who_name text,
  org_id text, org_name text, org_role text,
  new_user text, new_account text
) returns table (user_id text, account_id text)
  language plpgsql security definer set search_path = public, pg_temp
  as $$
  #variable_conflict use_column
  declare
    person text;
    account text;
    own_kind text := case when org_id is null then 'personal' else 'organisation' end;
    own_id text := coalesce('org:' || org_id, 'user:' || who_subject);
    own_role text := case when org_id is null then 'owner' else org_role end;
    own_source text := case when org_id is null then 'personal' else 'idp' end;
  begin
    select u.id into person from users u
    where u.issuer = who_issuer and u.subject = who_subject
      and u.email is not distinct from who_email and u.name is not distinct from who_name and u.last_seen_at > now() - interval '1 minute';
    if person is null then
      insert into users as u (id, issuer, subject, email, name) values (new_user, who_issuer, who_subject, who_email, who_name)
      on conflict (issuer, subject) do update set email = excluded.email, name = excluded.name, last_seen_at = now()
      returning u.id into person;
    end if;
    select a.id into account from accounts a where a.issuer = who_issuer and a.external_id = own_id;
    if account is null then
      insert into accounts as a (id, name, kind, issuer, external_id)
      values (new_account, coalesce(org_name, who_name, who_email, own_id), own_kind, who_issuer, own_id)
      on conflict (issuer, external_id) where issuer is not null do update set name = a.name
      returning a.id into account;
    end if;
    if not exists (
      select 1 from memberships m
      where m.account_id = account and m.user_id = person and m.project_id is null and (m.source = 'manual' or m.role = own_role)
    ) then
      insert into memberships as m (account_id, user_id, project_id, role, source) values (account, person, null, own_role, own_source)
      on conflict (account_id, user_id, project_id) do update set role = excluded.role where m.source <> 'manual';
    end if;
    return query select person, account;
  end $$;
create function rgrid_memberships(person text)
  returns table (account_id text, account_name text, account_kind text, project_id text, role text)
  language sql stable security definer set search_path = public, pg_temp
  as $$
    select m.account_id, a.name, a.kind, m.project_id, m.role from memberships m join accounts a on a.id = m.account_id
    where m.user_id = person order by m.created_at, m.account_id
  $$;
revoke all on function rgrid_find_key(text), rgrid_touch_key(text), rgrid_memberships(text),
  rgrid_sign_in(text, text, text, text, text, text, text, text, text) from public;
grant execute on function rgrid_find_key(text), rgrid_touch_key(text), rgrid_memberships(text),
  rgrid_sign_in(text, text, text, text, text, text, text, text, text) to rgrid_gateway;

-- The second wall: whatever a statement of the gateway forgets, it sees and writes one account's rows only.
do $$
declare
  tenant text;
begin
  foreach tenant in array array['projects', 'api_keys', 'files', 'batches', 'jobs', 'attempts', 'artifacts', 'events', 'webhook_endpoints',
    'webhook_deliveries', 'memberships', 'audit_log'] loop
    execute format('alter table %I enable row level security', tenant);
    execute format('create policy gateway on %I to rgrid_gateway using (account_id = (select rgrid_account()) or (select rgrid_account()) = ''*'')
      with check (account_id = (select rgrid_account()) or (select rgrid_account()) = ''*'')', tenant);
    execute format('create policy scheduler on %I to rgrid_scheduler using (true) with check (true)', tenant);
  end loop;
end $$;
alter table accounts enable row level security;
create policy gateway on accounts to rgrid_gateway using (id = (select rgrid_account()) or (select rgrid_account()) = '*');
create policy scheduler on accounts to rgrid_scheduler using (true);
alter table users enable row level security;
create policy gateway on users to rgrid_gateway using (exists (select 1 from memberships m where m.user_id = users.id));
alter table webhook_secrets enable row level security;
create policy gateway on webhook_secrets to rgrid_gateway using (exists (select 1 from webhook_endpoints w where w.id = endpoint_id))
  with check (exists (select 1 from webhook_endpoints w where w.id = endpoint_id));
create policy scheduler on webhook_secrets to rgrid_scheduler using (true);
alter table webhook_tries enable row level security;
create policy gateway on webhook_tries to rgrid_gateway using (exists (select 1 from webhook_deliveries d where d.id = delivery_id));
create policy scheduler on webhook_tries to rgrid_scheduler using (true) with check (true);
alter table pending_objects enable row level security;
create policy gateway on pending_objects to rgrid_gateway using ((select rgrid_account()) = '*');
create policy scheduler on pending_objects to rgrid_scheduler using (true) with check (true);

grant select on users, memberships, audit_log to rgrid_gateway;
grant insert on projects, api_keys, memberships, audit_log to rgrid_gateway;
grant update (role, source) on memberships to rgrid_gateway;
grant delete on memberships to rgrid_gateway;
grant update (name, deleted_at) on projects to rgrid_gateway;
grant update (name) on accounts to rgrid_gateway;
grant update (revoked_at, expires_at, replaced_by) on api_keys to rgrid_gateway;
revoke update (last_used_at) on api_keys from rgrid_gateway;

-- Down Migration

drop policy gateway on accounts;
drop policy scheduler on accounts;
do $$
declare
  tenant text;
begin
  foreach tenant in array array['projects', 'api_keys', 'files', 'batches', 'jobs', 'attempts', 'artifacts', 'events', 'webhook_endpoints',
    'webhook_deliveries', 'webhook_secrets', 'webhook_tries', 'pending_objects'] loop
    execute format('drop policy gateway on %I', tenant);
    execute format('drop policy scheduler on %I', tenant);
    execute format('alter table %I disable row level security', tenant);
  end loop;
end $$;
alter table accounts disable row level security;
drop function rgrid_find_key, rgrid_touch_key, rgrid_sign_in, rgrid_memberships;
drop table audit_log;
drop function rgrid_append_only;
drop table memberships, users;
drop function rgrid_account;
drop index projects_slug, api_keys_prefix, api_keys_by_project;
alter table projects add constraint projects_account_id_slug_key unique (account_id, slug);
alter table projects drop column deleted_at;
alter table api_keys drop column account_id, drop column environment, drop column created_by, drop column replaced_by;
alter table attempts drop column account_id;
alter table artifacts drop column account_id;
alter table webhook_deliveries drop column account_id;
drop index accounts_external;
alter table accounts drop constraint external_has_issuer, drop column kind, drop column issuer, drop column external_id;
grant update (last_used_at) on api_keys to rgrid_gateway;
