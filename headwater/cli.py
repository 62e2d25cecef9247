"""`headwater`: the command line. Every way out of it is an exit code and, where something is wrong, one clear message.

0 success or warning · 1 the user's fault, or a failed execution · 2 wrong usage · 3 a mistake of ours · 130 Ctrl-C.
It must not know what the commands do.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated

import typer

from engine.errors import Bug, HeadwaterError
from headwater.commands import (
    again,
    audit,
    daemon,
    flow_tests,
    installation,
    remote,
    render,
    run,
    schema,
    validate,
)
from headwater.terminal import printable

app = typer.Typer(
    name="headwater",
    help="Runs workflows from Git: every commit is the desired state, and results come back as commits.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
plugins = typer.Typer(help="Task types, triggers, runners … of this installation.", no_args_is_help=True)
plugins.command("list")(installation.plugins_list)

for _command in (
    daemon.demo, daemon.serve, validate.validate, run.run, render.render, remote.flows, remote.execute,
    remote.executions, remote.logs, remote.kill, remote.pause, remote.resume, again.restart,
    again.replay, again.backfill, audit.audit, schema.schema,
    installation.doctor,
):  # fmt: skip
    app.command()(_command)
app.command("test")(flow_tests.play_tests)
app.add_typer(plugins, name="plugins")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"headwater {version('headwater')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> int:
    """Run the command that the arguments name; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # names in Git need not be text
    logging.basicConfig(level=logging.WARNING, handlers=[_Brief()])
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on: not worth a word
        return 141
    except BaseException as error:
        return _failed(error)
    return code if isinstance(code, int) else 0


def _failed(error: BaseException) -> int:
    """Say what went wrong, once and without a traceback; returns the exit code."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        _complain("stopped")
        return 130
    if isinstance(error, HeadwaterError) and not isinstance(error, Bug):
        _complain(error.message, error.hint)
        return error.exit_code
    if hasattr(error, "show") and hasattr(error, "exit_code"):  # click's own: the usage is wrong
        error.show()
        return int(error.exit_code)
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    return _bug(error)


def _bug(error: BaseException) -> int:
    from headwater.settings import debugging

    what = error.message if isinstance(error, HeadwaterError) else f"{type(error).__name__}: {error}"
    if debugging():
        import traceback

        traceback.print_exception(error)
    _complain(
        f"this is a bug in Headwater, not your fault: {what}",
        "run it again with HEADWATER_DEBUG=1 and report what it prints",
    )
    return 3


def _complain(message: str, hint: str = "") -> None:
    first, *more = printable(message).splitlines() or [""]
    text = "\n".join([f"headwater: {first}", *more])
    if hint:
        text += f"\n  next: {printable(hint)}" if more else f"; {printable(hint)}"
    print(text, file=sys.stderr)


class _Brief(logging.Handler):
    """Log records as single lines on stderr; tracebacks only for those who asked for them."""

    def emit(self, record: logging.LogRecord) -> None:
        from headwater.settings import debugging

        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f" ({type(record.exc_info[1]).__name__}: {record.exc_info[1]})"
            if debugging():
                text = logging.Formatter().format(record)
        print(f"headwater: {record.levelname.lower()}: {printable(text)}", file=sys.stderr)
