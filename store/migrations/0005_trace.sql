-- Up Migration

-- The trace that the submit of the job belongs to: `traceparent`, and behind a space `tracestate` where there is one.
alter table jobs add column trace_context text check (length(trace_context) <= 600);

-- Since when the job is in the queue, or was last. By a trigger, as every statement that queues a job would have to say it,
-- and one that forgets would be noticed by nobody.
alter table jobs add column queued_at timestamptz not null default now();
create function note_queued() returns trigger language plpgsql as $$
begin
  new.queued_at := now();
  return new;
end
$$;
create trigger jobs_note_queued before update of state on jobs
  for each row when (new.state = 'queued' and old.state <> 'queued') execute function note_queued();

-- Down Migration

drop trigger jobs_note_queued on jobs;
drop function note_queued;
alter table jobs drop column trace_context, drop column queued_at;
