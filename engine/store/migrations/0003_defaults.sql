-- The plugin defaults of its repository that a version of a flow was made with, as JSON; empty for none.
ALTER TABLE flow_versions ADD COLUMN defaults TEXT NOT NULL DEFAULT '';
