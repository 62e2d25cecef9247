"""The commands that go again through what a daemon ran: restart, replay, backfill."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import NotFound, UserError
from headwater.commands.remote import Id, Json, Server, followed, split
from headwater.commands.run import Inputs, Labels, pairs
from headwater.terminal import print_json, say, warn

if TYPE_CHECKING:
    from headwater.client import Client

Revision = Annotated[
    int | None, typer.Option("--revision", metavar="N", min=1, help="On this revision of the flow.")
]
Follow = Annotated[bool, typer.Option("--follow", help="Show its log until it ends.")]
_DAY_ONLY = 10  # characters of 2026-01-31


def restart(
    execution: Id,
    revision: Revision = None,
    follow: Follow = False,
    server: Server = None,
    json: Json = False,
) -> int:
    """Run again what failed in an execution, and go on from there."""
    from headwater.client import connected, segment

    with connected(server) as client:
        params = {"revision": revision} if revision else {}
        document = client.call("POST", f"executions/{segment(execution)}/restart", params=params)
        return _told(client, document, follow=follow, json=json)


def replay(
    execution: Id,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="TASK", help="Begin at this task; what came before is kept."),
    ] = None,
    revision: Revision = None,
    inputs: Inputs = None,
    follow: Follow = False,
    server: Server = None,
    json: Json = False,
) -> int:
    """Run an execution's flow again, in a new execution: with its inputs, or with others."""
    given = pairs(inputs, "-i")
    from headwater.client import connected, form, segment

    params: dict[str, Any] = {}
    if start:
        params["taskRunId"] = start
    if revision:
        params["revision"] = revision
    with connected(server) as client:
        path = f"executions/{segment(execution)}"
        if given:
            document = client.call("POST", f"{path}/replay-with-inputs", params=params, files=form(given))
        else:
            document = client.call("POST", f"{path}/replay", params=params)
        return _told(client, document, follow=follow, json=json)


def _told(client: Client, document: Any, *, follow: bool, json: bool) -> int:
    if follow:
        return followed(client, document["id"], json)
    if json:
        print_json(document)
    else:
        say(document["id"])
        warn(f"{document['state']['current']}; next: headwater logs {document['id']} --follow")
    return 0


def backfill(
    flow: Annotated[str, typer.Argument(metavar="FLOW", help="namespace.id or namespace/id")],
    start: Annotated[
        str | None, typer.Option("--start", metavar="DATE", help="Of the past to go through, ISO 8601.")
    ] = None,
    end: Annotated[str | None, typer.Option("--end", metavar="DATE", help="Else now.")] = None,
    trigger: Annotated[
        str | None, typer.Option("--trigger", metavar="ID", help="Where the flow has several schedules.")
    ] = None,
    inputs: Inputs = None,
    label: Labels = None,
    pause: Annotated[bool, typer.Option("--pause", help="Let the backfill wait.")] = False,
    unpause: Annotated[bool, typer.Option("--unpause", help="Let the backfill go on.")] = False,
    delete: Annotated[bool, typer.Option("--delete", help="Give the backfill up.")] = False,
    server: Server = None,
    json: Json = False,
) -> int:
    """Let a schedule go through its past, one date after the other."""
    actions = [
        name for name, wanted in (("pause", pause), ("unpause", unpause), ("delete", delete)) if wanted
    ]
    if len(actions) + (start is not None) != 1:
        raise typer.BadParameter("give one of --start, --pause, --unpause, --delete", param_hint="--start")
    given, labels = pairs(inputs, "-i"), pairs(label, "--label")
    from headwater.client import connected

    namespace, flow_id = split(flow)
    with connected(server) as client:
        chosen = trigger or _schedule(client, namespace, flow_id)
        body: dict[str, Any] = {"namespace": namespace, "flowId": flow_id, "triggerId": chosen}
        if start is not None:
            body["backfill"] = {"start": _instant(start), "inputs": given, "labels": labels}
            if end is not None:
                body["backfill"]["end"] = _instant(end)
        action = actions[0] if actions else "create"
        document = client.call("POST", f"triggers/backfill/{action}", json=body)
    if json:
        print_json(document)
    elif past := document.get("backfill"):
        state = "waits at" if past["paused"] else "is at"
        say(f"the backfill of `{chosen}` {state} {past['currentDate']}, and goes to {past['end']}")
    else:
        say(f"`{chosen}` goes through no backfill any more")
    return 0


def _schedule(client: Client, namespace: str, flow_id: str) -> str:
    """The flow's only schedule. Raises NotFound, UserError when it has none, or several."""
    from headwater.client import segment

    document = client.get(f"flows/{segment(namespace)}/{segment(flow_id)}")
    found = [each["id"] for each in document["triggers"] if "Schedule" in each.get("type", "")]
    if not found:
        raise NotFound(f"flow {namespace}.{flow_id} has no schedule", hint="only schedules know what was due")
    if len(found) > 1:
        raise UserError(
            f"flow {namespace}.{flow_id} has {len(found)} schedules: {', '.join(found)}",
            hint="name one as --trigger",
        )
    return str(found[0])


def _instant(text: str) -> str:
    """ISO 8601 with a zone; a date alone is its midnight, and what has no zone is UTC."""
    try:
        moment = datetime.fromisoformat(text if len(text) > _DAY_ONLY else f"{text}T00:00:00")
    except ValueError:
        raise typer.BadParameter(f"`{text}` is no date in ISO 8601", param_hint="--start, --end") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()
