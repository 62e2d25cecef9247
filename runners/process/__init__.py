"""Tasks as processes of this machine: `ProcessRunner` and what it is made of (docs/adr/0005-process-runner.md).

`shepherd` starts processes and writes down how they end; `launcher` talks to it; `rundir` is a run on disk; `tail`
reads its output; `processes` watches and signals; `environment` and `globs` are pure. Knows no flow and no execution.
"""

from runners.process.runner import ProcessRunner

__all__ = ["ProcessRunner"]
