-- Up Migration

-- What an account, a project, or every account that does not say otherwise ('default') may use. null: no limit.
create table limits (
  id text primary key,
  account_id text references accounts (id),
  project_id text references projects (id),
  requests_per_second integer check (requests_per_second > 0),
  running_jobs integer check (running_jobs >= 0),
  open_jobs integer check (open_jobs >= 0),
  job_cpu_millis integer check (job_cpu_millis > 0),
  job_memory_bytes bigint check (job_memory_bytes > 0),
  job_timeout_seconds integer check (job_timeout_seconds > 0),
  batch_items integer check (batch_items > 0),
  storage_bytes bigint check (storage_bytes >= 0),
  month_microns bigint check (month_microns >= 0),
  -- Of accounts: the share of the machines while others wait too, against theirs.
  weight real not null default 1 check (weight > 0 and weight <= 1000),
  constraint whose check (id = coalesce(project_id, account_id, 'default') and (project_id is null or account_id is not null))
);
insert into limits (id) values ('default');

-- The turns of accounts at the claim (docs/adr/0014): how much, by its weight, each has been given; and how far they all are.
create table account_turns (
  account_id text primary key references accounts (id),
  at double precision not null
) with (fillfactor = 50);
create table claim_clock (
  one boolean primary key default true check (one),
  at double precision not null
) with (fillfactor = 50);
insert into claim_clock (at) values (0);
-- Led by account and project: a claim walks from one to the next and reads the head of each, however long its queue is.
drop index jobs_queue;
create index jobs_queue on jobs (account_id, project_id, priority desc, seq) where state = 'queued';
create index attempts_live_by_account on attempts (account_id) where finished_at is null;

-- What a job may cost: its price for an hour of a slot, the worst case of one attempt, and what is reserved for what is to come.
alter table jobs add column slot_hour_microns bigint not null default 0 check (slot_hour_microns >= 0);
alter table jobs add column attempt_microns bigint not null default 0 check (attempt_microns >= 0);
alter table jobs add column reserved_microns bigint not null default 0 check (reserved_microns >= 0);
alter table attempts add column cost_microns bigint not null default 0 check (cost_microns >= 0);

-- What is in use, as differences: whoever changes something adds a row and waits for nobody; the leading scheduler adds them
-- up. What a project uses is its totals and the differences that are not in them yet. `month` is the one a job was submitted
-- in, and 1970-01 where a month means nothing.
create table usage_entries (
  id bigint generated always as identity primary key,
  account_id text not null,
  project_id text not null,
  month date not null,
  open_jobs integer not null default 0,
  storage_bytes bigint not null default 0,
  reserved_microns bigint not null default 0,
  spent_microns bigint not null default 0
);
create index usage_entries_by_account on usage_entries (account_id);
create table usage_totals (
  project_id text not null references projects (id),
  month date not null,
  account_id text not null references accounts (id),
  open_jobs bigint not null default 0,
  storage_bytes bigint not null default 0,
  reserved_microns bigint not null default 0,
  spent_microns bigint not null default 0,
  primary key (project_id, month)
) with (fillfactor = 50);
create index usage_totals_by_account on usage_totals (account_id);
insert into usage_totals (project_id, month, account_id, open_jobs, storage_bytes)
select p.id, '1970-01-01', p.account_id, (select count(*) from jobs j where j.project_id = p.id and j.finished_at is null),
  coalesce((select sum(f.size_bytes) from files f where f.project_id = p.id and f.state = 'ready'), 0)
    + coalesce((select sum(a.size_bytes) from artifacts a join jobs j on j.id = a.job_id where j.project_id = p.id and a.expired_at is null), 0)
from projects p;

-- Kept by triggers, so that no way in which a job ends, or bytes go, can forget it.
create function rgrid_jobs_added() returns trigger language plpgsql security definer set search_path = public, pg_temp
  as $$ begin
    insert into usage_entries (account_id, project_id, month, open_jobs)
    select account_id, project_id, '1970-01-01', count(*) from added where finished_at is null group by account_id, project_id;
    insert into usage_entries (account_id, project_id, month, reserved_microns)
    select account_id, project_id, date_trunc('month', created_at at time zone 'utc'), sum(reserved_microns) from added
    where reserved_microns > 0 group by 1, 2, 3;
    return null;
  end $$;
create trigger usage_added after insert on jobs referencing new table as added for each statement execute function rgrid_jobs_added();
create function rgrid_job_ended() returns trigger language plpgsql security definer set search_path = public, pg_temp
  as $$ begin
    insert into usage_entries (account_id, project_id, month, open_jobs) values (new.account_id, new.project_id, '1970-01-01', -1);
    if new.reserved_microns > 0 then
      insert into usage_entries (account_id, project_id, month, reserved_microns)
      values (new.account_id, new.project_id, date_trunc('month', new.created_at at time zone 'utc'), -new.reserved_microns);
      new.reserved_microns := 0;
    end if;
    return new;
  end $$;
create trigger usage_ended before update of finished_at on jobs for each row
  when (old.finished_at is null and new.finished_at is not null) execute function rgrid_job_ended();
create function rgrid_stored(of_account text, of_project text, bytes bigint) returns void
  language sql security definer set search_path = public, pg_temp
  as $$ insert into usage_entries (account_id, project_id, month, storage_bytes) values (of_account, of_project, '1970-01-01', bytes) $$;
create function rgrid_file_stored() returns trigger language plpgsql security definer set search_path = public, pg_temp
  as $$ begin
    if tg_op = 'UPDATE' then
      perform rgrid_stored(new.account_id, new.project_id, new.size_bytes);
      return new;
    end if;
    perform rgrid_stored(old.account_id, old.project_id, -old.size_bytes);
    return old;
  end $$;
create trigger usage_ready after update of state on files for each row
  when (old.state <> 'ready' and new.state = 'ready') execute function rgrid_file_stored();
create trigger usage_deleted after delete on files for each row when (old.state = 'ready') execute function rgrid_file_stored();
create function rgrid_artifact_stored() returns trigger language plpgsql security definer set search_path = public, pg_temp
  as $$
  declare
    artifact artifacts := case when tg_op = 'INSERT' then new else old end;
  begin
    perform rgrid_stored(artifact.account_id, (select project_id from jobs where id = artifact.job_id),
      case when tg_op = 'INSERT' then artifact.size_bytes else -artifact.size_bytes end);
    return coalesce(new, old);
  end $$;
create trigger usage_kept after insert on artifacts for each row execute function rgrid_artifact_stored();
create trigger usage_expired after update of expired_at on artifacts for each row
  when (old.expired_at is null and new.expired_at is not null) execute function rgrid_artifact_stored();
create trigger usage_deleted before delete on artifacts for each row when (old.expired_at is null) execute function rgrid_artifact_stored();
revoke all on function rgrid_stored(text, text, bigint) from public;

-- What was answered to a request that names itself (Idempotency-Key), written in the transaction that did what it asked: the
-- same request again gets the same answer, also when the first answer was lost. `answer` is sealed, as it may hold a new key.
create table idempotency_keys (
  account_id text not null references accounts (id),
  scope text not null,
  key text not null,
  request_hash bytea not null,
  status integer,
  answer text,
  created_at timestamptz not null default now(),
  primary key (account_id, scope, key)
);
create index idempotency_keys_old on idempotency_keys (created_at);

do $$
declare
  tenant text;
begin
  foreach tenant in array array['usage_entries', 'usage_totals', 'idempotency_keys'] loop
    execute format('alter table %I enable row level security', tenant);
    execute format('create policy gateway on %I to rgrid_gateway using (account_id = (select rgrid_account()) or (select rgrid_account()) = ''*'')
      with check (account_id = (select rgrid_account()))', tenant);
    execute format('create policy scheduler on %I to rgrid_scheduler using (true) with check (true)', tenant);
  end loop;
end $$;
alter table limits enable row level security;
create policy gateway on limits to rgrid_gateway using (id = 'default' or account_id = (select rgrid_account()) or (select rgrid_account()) = '*')
  with check ((account_id = (select rgrid_account()) and project_id is not null) or (select rgrid_account()) = '*');
create policy scheduler on limits to rgrid_scheduler using (true);

grant select on limits, usage_entries, usage_totals to rgrid_gateway, rgrid_scheduler;
grant insert, update, delete on limits to rgrid_gateway;
grant select, insert, update on idempotency_keys to rgrid_gateway;
grant select, delete on idempotency_keys to rgrid_scheduler;
grant insert, delete, update on usage_entries to rgrid_scheduler;
grant insert, update on usage_totals to rgrid_scheduler;
grant select, insert, update on account_turns, claim_clock to rgrid_scheduler;

-- Down Migration

drop table idempotency_keys, usage_totals, usage_entries, claim_clock, account_turns, limits;
drop trigger usage_added on jobs;
drop trigger usage_ended on jobs;
drop trigger usage_ready on files;
drop trigger usage_deleted on files;
drop trigger usage_kept on artifacts;
drop trigger usage_expired on artifacts;
drop trigger usage_deleted on artifacts;
drop function rgrid_jobs_added, rgrid_job_ended, rgrid_file_stored, rgrid_artifact_stored, rgrid_stored;
alter table jobs drop column slot_hour_microns, drop column attempt_microns, drop column reserved_microns;
alter table attempts drop column cost_microns;
drop index jobs_queue, attempts_live_by_account;
create index jobs_queue on jobs (priority desc, seq) where state = 'queued';
