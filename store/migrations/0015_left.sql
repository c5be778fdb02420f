-- Up Migration

-- A cell whose provider says no price is not bought, and its last price holds (table prices).
alter table cells alter column hour_microns drop not null;
-- What another machine may cost in an hour, as the planner found it last; null: no limit.
alter table scaling add column left_microns bigint;

-- Down Migration

alter table scaling drop column left_microns;
delete from cells where hour_microns is null;
alter table cells alter column hour_microns set not null;
