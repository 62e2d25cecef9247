"""Where tasks run: one driver a file, each a `Runner` of `engine.ports`. Knows no flow and no execution."""
