import { sql } from 'slonik'

/**
 * The rest of a statement that begins with the events it has `added`: one delivery for each of them and each endpoint that
 * wants it, in the order of the events. A project without endpoints costs one look into a small table. An endpoint is
 * kept from being deleted until the commit: or its deletion in between would undo the change of state.
 */
export const FAN_OUT = sql.fragment`
  , hooks as materialized (
    select w.id, w.project_id, w.kind, w.events from webhook_endpoints w
    where w.enabled and w.project_id in (select project_id from added)
    for key share of w
  ), wanted as materialized (
    select a.*, h.id as endpoint_id, h.kind from added a join hooks h on h.project_id = a.project_id
    where case when h.kind = 'jobs' then a.type in ('job.succeeded', 'job.failed', 'job.cancelled') else a.type = any(h.events) end
  )
  insert into webhook_deliveries (endpoint_id, account_id, project_id, event_id, subject, job_id, batch_id, type, data, url)
  select w.endpoint_id, w.account_id, w.project_id, w.id, coalesce(w.job_id, w.batch_id, w.data ->> 'webhookId', w.endpoint_id), w.job_id, w.batch_id, w.type,
    w.data || jsonb_build_object('jobId', w.job_id, 'batchId', w.batch_id, 'project', p.slug)
      || case when j.id is null then '{}'::jsonb else jsonb_build_object('name', j.name, 'labels', j.labels, 'batchIndex', j.batch_index) end,
    case when w.kind = 'jobs' then j.spec #>> '{webhook,url}' end
  from wanted w join projects p on p.id = w.project_id left join jobs j on j.id = w.job_id
  where w.kind = 'endpoint' or j.spec #>> '{webhook,url}' is not null
  order by w.id, w.endpoint_id`
