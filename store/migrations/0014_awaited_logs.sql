-- Up Migration

-- Since when a bought node would be deleted, were it not for logs that only it has; null: it has none, or is not due.
alter table nodes add column logs_due_at timestamptz;
-- Logs that only their nodes have. An attempt whose log was archived before its end was told is never in it.
create index attempts_unarchived on attempts (node_id) where finished_at is not null and state <> 'lost' and not log_archived and log_seq > 0;

-- Down Migration

drop index attempts_unarchived;
alter table nodes drop column logs_due_at;
