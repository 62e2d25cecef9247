"""The front door: command line, settings and the daemon, the one place where concrete classes meet."""
