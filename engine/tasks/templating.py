"""The task whose properties, and whose very type, are known only when it runs (dialect, section 2.4)."""

from __future__ import annotations

from engine.model.task import Templated


class TemplatedTask(Templated):
    """Renders `spec`, the YAML of one task, and runs that task in its place: its outputs are this task's.

    The text gives a `type` and its properties, and needs no `id`. What this task says about `retry`, `timeout`,
    `runIf`, `allowFailure` and `logLevel` counts, not what the text says. Plugin defaults hold for the rendered task.
    """
