"""Where things last: the store of executions, flows and logs, and the internal storage of files."""
