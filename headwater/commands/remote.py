"""The commands that talk to a running daemon: flows, execute, executions, logs, kill, pause, resume."""

from __future__ import annotations

import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headwater.commands.run import Inputs, Labels, pairs
from headwater.terminal import day_and_minute, plural, print_json, say, table, warn

if TYPE_CHECKING:
    from headwater.client import Client, LogReader

Server = Annotated[
    str | None, typer.Option("--server", metavar="URL", help="The daemon, else HEADWATER_SERVER.")
]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="Of the execution.")]
_ENDED = {"SUCCESS", "WARNING", "FAILED", "KILLED", "CANCELLED", "RETRIED", "SKIPPED"}
_GOOD = {"SUCCESS", "WARNING"}
_LOOK = 0.5  # seconds between two looks at what is being followed
_PAGE = 100


def flows(
    repo: Annotated[
        Path | None,
        typer.Option("--repo", metavar="PATH", help="Those of a repository, instead of a daemon's."),
    ] = None,
    rev: Annotated[
        str | None, typer.Option("--rev", metavar="REV", help="With --repo: of this commit.")
    ] = None,
    server: Server = None,
    json: Json = False,
) -> int:
    """List flows: those a daemon has live, or those of a repository."""
    if repo is not None:
        return _flows_of(repo, rev, json)
    from headwater.client import connected

    found: list[Any] = []
    with connected(server) as client:
        while True:
            page = client.get("flows/search", page=len(found) // _PAGE + 1, size=_PAGE)
            found += page["results"]
            if not page["results"] or len(found) >= page["total"]:
                break
    if json:
        print_json(found)
    else:
        rows = [
            (f"{each['namespace']}.{each['id']}", f"revision {each.get('revision', '?')}") for each in found
        ]
        table(rows)
    return 0


def _flows_of(repo: Path, rev: str | None, json: bool) -> int:
    from headwater.local import Catalog
    from headwater.trees import read_tree

    catalog = Catalog(read_tree(repo, rev), warn)
    found = sorted((*identity, file.path) for identity, file in catalog.files.items())
    if json:
        print_json(
            [{"namespace": namespace, "id": flow_id, "path": path} for namespace, flow_id, path in found]
        )
    else:
        table([(f"{namespace}.{flow_id}", path) for namespace, flow_id, path in found])
    return 0


def execute(
    flow: Annotated[str, typer.Argument(metavar="FLOW", help="namespace.id or namespace/id")],
    inputs: Inputs = None,
    label: Labels = None,
    follow: Annotated[bool, typer.Option("--follow", help="Show its log until it ends.")] = False,
    server: Server = None,
    json: Json = False,
) -> int:
    """Start a flow on a daemon."""
    given, labels = pairs(inputs, "-i"), pairs(label, "--label")
    from headwater.client import connected, form, segment

    with connected(server) as client:
        namespace, flow_id = split(flow)
        options: dict[str, Any] = {"params": [("labels", f"{key}:{value}") for key, value in labels.items()]}
        if given:
            options["files"] = form(given)
        document = client.call("POST", f"executions/{segment(namespace)}/{segment(flow_id)}", **options)
        if json and not follow:
            print_json(document)
        elif not follow:
            say(document["id"])
            warn(f"started; next: headwater logs {document['id']} --follow")
        return followed(client, document["id"], json) if follow else 0


def split(flow: str) -> tuple[str, str]:
    """Namespace and id of a flow's name. Raises BadParameter."""
    namespace, separator, flow_id = flow.partition("/") if "/" in flow else flow.rpartition(".")
    if not separator or not namespace or not flow_id:
        raise typer.BadParameter("write namespace.id or namespace/id", param_hint="FLOW")
    return namespace, flow_id


def executions(
    flow: Annotated[str | None, typer.Argument(metavar="[FLOW]", help="Only those of namespace.id.")] = None,
    namespace: Annotated[str | None, typer.Option("--namespace", metavar="NAME", help="Only of it.")] = None,
    state: Annotated[list[str] | None, typer.Option("--state", metavar="STATE", help="Only in it.")] = None,
    size: Annotated[int, typer.Option("--size", min=1, max=1000, help="How many at the most.")] = 25,
    server: Server = None,
    json: Json = False,
) -> int:
    """List executions of a daemon, newest first."""
    flow_id = None
    if flow is not None:
        namespace, flow_id = split(flow)
    states = [each.upper() for each in state or ()] or None
    from headwater.client import connected

    with connected(server) as client:
        page = client.get("executions/search", namespace=namespace, flowId=flow_id, state=states, size=size)
    found = page["results"]
    if json:
        print_json(found)
        return 0
    table([_row(each) for each in found])
    if page["total"] > len(found):
        say(f"{plural(page['total'] - len(found), 'more execution')}; --size shows more")
    return 0


def _row(document: Any) -> tuple[str, ...]:
    state = document["state"]
    return (
        document["id"],
        f"{document['namespace']}.{document['flowId']}",
        f"{_symbol(state['current'])} {state['current']}",
        day_and_minute(datetime.fromisoformat(state["startDate"])),
        _took(state.get("duration")),
        document.get("commit", "")[:7],
    )


def _took(duration: str | None) -> str:
    from engine.model.duration import seconds_of
    from reconciler.status.symbols import length

    return length(seconds_of(duration)) if duration else ""


def _symbol(state: str) -> str:
    from engine.model.state import State
    from reconciler.status.symbols import SYMBOLS

    return SYMBOLS[State(state)] if state in State.__members__ else "?"


def logs(
    execution: Id,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the execution has ended.")
    ] = False,
    server: Server = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> int:
    """Show the log of an execution."""
    from headwater.client import LogReader, connected

    with connected(server) as client:
        if follow:
            return followed(client, execution, json)
        _print_logs(LogReader(client, execution), json)
    return 0


def followed(client: Client, execution: str, json: bool) -> int:
    """Show the log of an execution until it has ended; 1 when it did not end well."""
    from headwater.client import LogReader, segment

    reader = LogReader(client, execution)
    while True:
        # The state first: what an ended execution wrote is all there when its log is read.
        state = client.get(f"executions/{segment(execution)}")["state"]["current"]
        _print_logs(reader, json)
        if state in _ENDED:
            if not json:
                say(f"{_symbol(state)} {state}")
            return 0 if state in _GOOD else 1
        time.sleep(_LOOK)


def _print_logs(reader: LogReader, json: bool) -> None:
    for entry in reader.new():
        if json:
            print_json(entry)
        else:
            place = f"{entry['taskId']}  " if entry.get("taskId") else ""
            say(f"{entry['timestamp']}  {entry['level']:5}  {place}{entry['message']}")
    sys.stdout.flush()


def kill(execution: Id, server: Server = None) -> int:
    """Kill an execution and all it started."""
    return _told("DELETE", execution, "kill", server)


def pause(execution: Id, server: Server = None) -> int:
    """Let nothing new start in an execution."""
    return _told("POST", execution, "pause", server)


def resume(execution: Id, inputs: Inputs = None, server: Server = None) -> int:
    """Let a paused execution go on, with what it asks for."""
    given = pairs(inputs, "-i")
    from headwater.client import form

    return _told("POST", execution, "resume", server, **({"files": form(given)} if given else {}))


def _told(method: str, execution: str, what: str, server: str | None, **options: Any) -> int:
    from headwater.client import connected, segment

    with connected(server) as client:
        client.call(method, f"executions/{segment(execution)}/{what}", **options)
        document = client.get(f"executions/{segment(execution)}")
    say(f"{document['id']}  {_symbol(document['state']['current'])} {document['state']['current']}")
    return 0
