"""The shell around the machine: the engine's thread, the worker, the clock's watcher, recovery."""
