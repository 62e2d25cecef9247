-- The backfill of a schedule, as JSON, while there is one.
ALTER TABLE triggers ADD COLUMN backfill TEXT;
