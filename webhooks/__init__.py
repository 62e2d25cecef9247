"""Everything that comes in over HTTP: forge hooks, webhook triggers, the REST API, badges and pages."""
