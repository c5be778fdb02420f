-- Up Migration

-- 'idp' counts while the provider says so: by a token that names the organisation, and for a while after it (RGRID_ORGANISATION_GRACE_SECONDS).
-- 'blocked': somebody of the account took the person out, and no sign-in brings them back.
alter table memberships drop constraint memberships_source_check;
alter table memberships add constraint memberships_source_check check (source in ('manual', 'idp', 'personal', 'blocked'));
-- When the newest token was made that named the organisation with a role that counts. Of older rows nobody knows more than that they were made.
alter table memberships add column confirmed_at timestamptz;
update memberships set confirmed_at = created_at where source = 'idp';
alter table memberships add constraint idp_is_confirmed check (source <> 'idp' or confirmed_at is not null);
-- Since when it gives nothing: the provider names a role that is none of ours, or the person is blocked.
alter table memberships add column ended_at timestamptz;
alter table memberships add constraint blocked_is_ended check (source <> 'blocked' or ended_at is not null);
grant update (confirmed_at, ended_at) on memberships to rgrid_gateway;
create index api_keys_by_maker on api_keys (created_by);

drop function rgrid_sign_in(text, text, text, text, text, text, text, text, text);
-- The rows that mirror a person, and the account that the token speaks for: the organisation's, or the person's own. Without a role
-- (org_role null) the organisation's token makes no account and no membership; org_ends: the provider says that what it gave is over.
-- Of two tokens the newer one (issued) is right, whichever comes first.
create function rgrid_sign_in(
  who_issuer text, who_subject text, who_email text, who_name text,
  org_id text, org_name text, org_role text, org_ends boolean, issued timestamptz,
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
    -- The clocks of the provider may be a little fast.
    said_at timestamptz := least(issued, now());
    was text;
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
    if own_role is null then
      if org_ends then
        update memberships m set ended_at = said_at
        where m.account_id = account and m.user_id = person and m.project_id is null
          and m.source = 'idp' and m.ended_at is null and m.confirmed_at <= said_at
        returning m.role into was;
        if was is not null then
          insert into audit_log (account_id, actor_kind, actor_id, actor_name, action, object_id, details)
          values (account, 'user', person, coalesce(who_email, who_name, who_subject), 'member.end', person, jsonb_build_object('was', was));
        end if;
      end if;
      return query select person, account;
      return;
    end if;
    if account is null then
      insert into accounts as a (id, name, kind, issuer, external_id)
      values (new_account, coalesce(org_name, who_name, who_email, own_id), own_kind, who_issuer, own_id)
      on conflict (issuer, external_id) where issuer is not null do update set name = a.name
      returning a.id into account;
    end if;
    -- Looked at before it is written, as nearly every token changes nothing.
    if not exists (
      select 1 from memberships m
      where m.account_id = account and m.user_id = person and m.project_id is null
        and (m.source <> 'idp' or (m.role = own_role and m.ended_at is null and m.confirmed_at >= said_at))
    ) then
      insert into memberships as m (account_id, user_id, project_id, role, source, confirmed_at)
      values (account, person, null, own_role, own_source, case when own_source = 'idp' then said_at end)
      on conflict (account_id, user_id, project_id) do update set role = excluded.role, confirmed_at = excluded.confirmed_at, ended_at = null
      where m.source = 'idp' and greatest(m.confirmed_at, m.ended_at) <= said_at;
    end if;
    return query select person, account;
  end $$;

drop function rgrid_memberships(text);
-- What counts now. `named` is the account that a good token of the person names, if any.
create function rgrid_memberships(person text, named text, grace_seconds integer)
  returns table (account_id text, account_name text, account_kind text, project_id text, role text)
  language sql stable security definer set search_path = public, pg_temp
  as $$
    select m.account_id, a.name, a.kind, m.project_id, m.role from memberships m join accounts a on a.id = m.account_id
    where m.user_id = person and m.ended_at is null
      and (m.source <> 'idp' or m.account_id = named or m.confirmed_at > now() - make_interval(secs => grace_seconds))
    order by m.created_at, m.account_id
  $$;
revoke all on function rgrid_memberships(text, text, integer),
  rgrid_sign_in(text, text, text, text, text, text, text, boolean, timestamptz, text, text) from public;
grant execute on function rgrid_memberships(text, text, integer),
  rgrid_sign_in(text, text, text, text, text, text, text, boolean, timestamptz, text, text) to rgrid_gateway;

-- Down Migration

drop function rgrid_sign_in, rgrid_memberships;
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
revoke all on function rgrid_memberships(text), rgrid_sign_in(text, text, text, text, text, text, text, text, text) from public;
grant execute on function rgrid_memberships(text), rgrid_sign_in(text, text, text, text, text, text, text, text, text) to rgrid_gateway;
-- There is no word for them any more.
delete from memberships where ended_at is not null;
drop index api_keys_by_maker;
alter table memberships drop column confirmed_at, drop column ended_at;
alter table memberships drop constraint memberships_source_check;
alter table memberships add constraint memberships_source_check check (source in ('manual', 'idp', 'personal'));
