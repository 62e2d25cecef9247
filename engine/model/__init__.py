"""The engine's values, all frozen: flows, tasks, triggers, executions, events, commands. No I/O, no clock."""
