-- Times are integer microseconds since 1970 (UTC); bodies are JSON text, readable in the sqlite3 shell.

-- `serial` keeps the order of creation among executions of one microsecond; `body` is the snapshot without its
-- task runs and loop values, and comes last so that lists never read it.
CREATE TABLE executions (
    serial INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    namespace TEXT NOT NULL,
    flow_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    commit_id TEXT NOT NULL,
    state TEXT NOT NULL,
    created INTEGER NOT NULL,
    ended INTEGER,
    trigger_id TEXT,
    version INTEGER NOT NULL,
    labels TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX executions_by_created ON executions (created);
CREATE INDEX executions_by_namespace ON executions (namespace, created);
CREATE INDEX executions_by_flow ON executions (namespace, flow_id, created);
CREATE INDEX executions_by_state ON executions (state, created);
CREATE INDEX executions_by_flow_state ON executions (namespace, flow_id, state, created);

CREATE TABLE task_runs (
    execution_id TEXT NOT NULL,
    key TEXT NOT NULL,
    seq INTEGER NOT NULL,
    task_id TEXT NOT NULL,
    state TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (execution_id, key)
) WITHOUT ROWID;

CREATE TABLE loop_values (
    execution_id TEXT NOT NULL,
    key TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (execution_id, key)
) WITHOUT ROWID;

CREATE TABLE events (
    execution_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (execution_id, version)
) WITHOUT ROWID;

CREATE TABLE work (
    serial INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    execution_id TEXT NOT NULL,
    due INTEGER,
    body TEXT NOT NULL
);

CREATE TABLE logs (
    serial INTEGER PRIMARY KEY,
    execution_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    level TEXT NOT NULL,
    key TEXT NOT NULL,
    task_id TEXT NOT NULL,
    task_run_id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    message TEXT NOT NULL
);
CREATE INDEX logs_by_execution ON logs (execution_id);

-- Every version that ever was live: executions stay pinned to theirs.
CREATE TABLE flow_versions (
    namespace TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    commit_id TEXT NOT NULL,
    blob TEXT NOT NULL,
    path TEXT NOT NULL,
    source TEXT NOT NULL,
    at INTEGER NOT NULL,
    disabled INTEGER NOT NULL,
    triggers TEXT NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (namespace, id, revision)
);

CREATE TABLE live_flows (
    namespace TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    source TEXT NOT NULL,
    PRIMARY KEY (namespace, id)
) WITHOUT ROWID;
CREATE INDEX live_flows_by_source ON live_flows (source, namespace, id);

CREATE TABLE triggers (
    namespace TEXT NOT NULL,
    flow_id TEXT NOT NULL,
    trigger_id TEXT NOT NULL,
    type TEXT NOT NULL,
    next_due INTEGER,
    last_due INTEGER,
    execution_id TEXT,
    spec TEXT NOT NULL,
    suspended INTEGER NOT NULL,
    PRIMARY KEY (namespace, flow_id, trigger_id)
) WITHOUT ROWID;
CREATE INDEX triggers_by_due ON triggers (next_due) WHERE next_due IS NOT NULL AND suspended = 0 AND execution_id IS NULL;

-- Kept for ever: a due time fires once.
CREATE TABLE fires (
    namespace TEXT NOT NULL,
    flow_id TEXT NOT NULL,
    trigger_id TEXT NOT NULL,
    due INTEGER NOT NULL,
    execution_id TEXT NOT NULL,
    PRIMARY KEY (namespace, flow_id, trigger_id, due)
) WITHOUT ROWID;

-- `position` keeps a report's place in the queue while its `serial` grows.
CREATE TABLE reports (
    position INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    serial INTEGER NOT NULL,
    UNIQUE (topic, key)
);

CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE deliveries (
    source TEXT NOT NULL,
    id TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (source, id)
) WITHOUT ROWID;
CREATE INDEX deliveries_by_time ON deliveries (at);

CREATE TABLE documents (
    space TEXT NOT NULL,
    key TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (space, key)
) WITHOUT ROWID;
