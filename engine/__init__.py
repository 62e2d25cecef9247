"""The flow engine: flows, expressions, executions, triggers, schedules and their store.

It knows nothing of Git, of forges, of HTTP or of the command line, and imports none of the other rooms.
"""
