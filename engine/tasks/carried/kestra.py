"""Stands in for the `kestra` package where it is not installed: outputs, counters, timers and log lines of a script.

What a script reports goes to standard output as lines `::{...}::`, which the engine reads. Where the package itself
is installed, this module makes way for it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from typing import Any


def _real() -> Any:
    """The installed package's spec, if there is one besides this file."""
    from importlib.machinery import PathFinder

    here = os.path.dirname(os.path.abspath(__file__))
    elsewhere = [path for path in sys.path if os.path.abspath(path or os.curdir) != here]
    return PathFinder.find_spec("kestra", elsewhere)


class Kestra:
    """The calls of the package, with its names and parameters."""

    _logger: Any = None

    @staticmethod
    def send(report: Any) -> None:
        """Write a report as the line that the engine reads."""
        sys.stdout.write("::" + json.dumps(report, default=str) + "::\n")
        sys.stdout.flush()

    @classmethod
    def outputs(cls, values: Any) -> None:
        """Outputs of the task: `{{ outputs.<task>.vars.<name> }}`."""
        cls.send({"outputs": values})

    @classmethod
    def counter(cls, name: str, value: float, tags: Any = None) -> None:
        """A metric that counts."""
        cls._metric(name, "counter", value, tags)

    @classmethod
    def timer(cls, name: str, duration: Any, tags: Any = None) -> None:
        """A metric in seconds: a number, or a callable whose run is timed."""
        if callable(duration):
            began = time.monotonic()
            duration()
            duration = time.monotonic() - began
        cls._metric(name, "timer", duration, tags)

    @classmethod
    def logger(cls) -> Any:
        """A logger whose lines keep their level in the execution's log."""
        if cls._logger is None:
            logger = logging.getLogger("Kestra")
            logger.setLevel(logging.DEBUG)
            logger.propagate = False
            logger.addHandler(_Lines())
            cls._logger = logger
        return cls._logger

    @classmethod
    def _metric(cls, name: str, kind: str, value: float, tags: Any) -> None:
        metric = {"name": name, "type": kind, "value": value}
        cls.send({"metrics": [{**metric, "tags": tags} if tags else metric]})


class _Lines(logging.Handler):
    _LEVELS = (
        (logging.ERROR, "ERROR"),
        (logging.WARNING, "WARN"),
        (logging.INFO, "INFO"),
        (logging.DEBUG, "DEBUG"),
    )

    def emit(self, record: logging.LogRecord) -> None:
        level = next((name for least, name in self._LEVELS if record.levelno >= least), "TRACE")
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + logging.Formatter().formatException(record.exc_info)
        Kestra.send({"logs": [{"level": level, "message": message}]})


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"kestra.{name} is not here: only Kestra.outputs, counter, timer and logger are built in; "
        "for the rest list `kestra` among the task's `dependencies`"
    )


_spec = _real()
if _spec is not None and _spec.loader is not None:
    from importlib.util import module_from_spec

    _module = module_from_spec(_spec)
    sys.modules["kestra"] = _module
    _spec.loader.exec_module(_module)
