-- Up Migration

-- What operators do is of the account that it concerns: of none, where it concerns the installation.
alter table audit_log alter column account_id drop not null;
create index audit_log_of_operators on audit_log (id desc) where actor_kind = 'operator';

-- Takes away the oldest rows past their time, at most so many; answers how many. The one way to take any away, and never what is younger than
-- 30 days, so that whoever gets hold of the scheduler cannot wipe out how. Rows are looked at in the order of their ids, which is that of
-- their times but for seconds: no index is needed, and what is not due yet ends it at once.
create function rgrid_expire_audit(keep_days int, at_most int) returns int language plpgsql security definer set search_path = public, pg_temp
  as $$
  declare
    expired int;
  begin
    if keep_days < 30 then raise exception 'the audit log is kept for 30 days at least'; end if;
    perform set_config('rgrid.expire_audit', 'on', true);
    delete from audit_log where id in (
      select oldest.id from (select id, at from audit_log order by id limit at_most) oldest where oldest.at < now() - make_interval(days => keep_days));
    get diagnostics expired = row_count;
    perform set_config('rgrid.expire_audit', 'off', true);
    return expired;
  end $$;
revoke all on function rgrid_expire_audit(int, int) from public;
grant execute on function rgrid_expire_audit(int, int) to rgrid_scheduler;

create or replace function rgrid_append_only() returns trigger language plpgsql
  as $$
  begin
    if tg_op = 'DELETE' and current_setting('rgrid.expire_audit', true) = 'on' then return null; end if;
    raise exception '% is append-only', tg_table_name;
  end $$;

-- Down Migration

create or replace function rgrid_append_only() returns trigger language plpgsql
  as $$ begin raise exception '% is append-only', tg_table_name; end $$;
drop function rgrid_expire_audit;
drop index audit_log_of_operators;
-- What was of no account cannot be kept.
alter table audit_log disable trigger append_only;
delete from audit_log where account_id is null;
alter table audit_log enable trigger append_only;
alter table audit_log alter column account_id set not null;
