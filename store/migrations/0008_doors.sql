-- Up Migration

-- Only triggers of their own tables call these, and need no right for it; whoever has one could hang them on a table of their own and
-- write the usage of others.
revoke all on function rgrid_jobs_added(), rgrid_job_ended(), rgrid_file_stored(), rgrid_artifact_stored(), rgrid_append_only() from public;

-- When something was done, the log says itself.
revoke insert on audit_log from rgrid_gateway;
grant insert (account_id, project_id, actor_kind, actor_id, actor_name, action, object_id, ip, request_id, details) on audit_log to rgrid_gateway;

-- Until when an upload that was announced may come: it counts as kept until then.
alter table files add column announced_at timestamptz not null default now();
grant update (announced_at) on files to rgrid_gateway;
create index files_pending on files (account_id, announced_at) where state = 'pending';

-- Down Migration

alter table files drop column announced_at;

grant insert on audit_log to rgrid_gateway;
grant execute on function rgrid_jobs_added(), rgrid_job_ended(), rgrid_file_stored(), rgrid_artifact_stored(), rgrid_append_only() to public;
