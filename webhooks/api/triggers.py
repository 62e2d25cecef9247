"""Backfills of schedules over HTTP (dialect, sections 3.2 and 7.3)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.documents import date
from engine.errors import InputInvalid
from engine.model.records import Backfill, TriggerState
from webhooks.answers import answer
from webhooks.api.desk import Desk


class _Label(msgspec.Struct):
    key: str
    value: str


class _Past(msgspec.Struct):
    start: datetime
    end: datetime | None = None
    inputs: dict[str, Any] = {}
    labels: list[_Label] | dict[str, str] = {}


class _Wish(msgspec.Struct, rename="camel"):
    namespace: str
    flow_id: str
    trigger_id: str
    backfill: _Past | None = None

    @property
    def name(self) -> tuple[str, str, str]:
        """The trigger that is meant."""
        return self.namespace, self.flow_id, self.trigger_id


def routes(desk: Desk) -> list[Route]:
    """The routes, below the API's root."""
    service = desk.service

    def told(state: TriggerState) -> Response:
        return answer(desk.mask(trigger_document(state)))

    async def create(request: Request) -> Response:
        wish = await _wish(request)
        past = wish.backfill
        if past is None:
            raise InputInvalid("the body has no `backfill`", hint="send its start and its end")
        labels = past.labels
        if isinstance(labels, list):
            labels = {each.key: each.value for each in labels}
        start, end = _aware(past.start), _aware(past.end) if past.end else None
        return told(await service.backfill(wish.name, start, end, past.inputs, _own(labels)))

    async def pause(request: Request) -> Response:
        return told(await service.pause_backfill((await _wish(request)).name))

    async def unpause(request: Request) -> Response:
        return told(await service.unpause_backfill((await _wish(request)).name))

    async def delete(request: Request) -> Response:
        return told(await service.delete_backfill((await _wish(request)).name))

    methods = ["PUT", "POST"]
    return [
        Route("/triggers", create, methods=["PUT"]),
        Route("/triggers/backfill/create", create, methods=methods),
        Route("/triggers/backfill/pause", pause, methods=methods),
        Route("/triggers/backfill/unpause", unpause, methods=methods),
        Route("/triggers/backfill/delete", delete, methods=methods),
    ]


def trigger_document(state: TriggerState) -> dict[str, Any]:
    """Where a trigger stands."""
    document: dict[str, Any] = {
        "namespace": state.namespace,
        "flowId": state.flow_id,
        "triggerId": state.trigger_id,
        "disabled": state.suspended,
    }
    if state.upcoming:
        document["nextExecutionDate"] = date(state.upcoming)
    if state.execution_id:
        document["executionId"] = state.execution_id
    if state.backfill:
        document["backfill"] = backfill_document(state.backfill)
    return document


def backfill_document(backfill: Backfill) -> dict[str, Any]:
    """A backfill that is under way."""
    return {
        "start": date(backfill.start),
        "end": date(backfill.end),
        "currentDate": date(backfill.current),
        "paused": backfill.paused,
        "inputs": backfill.inputs,
        "labels": [{"key": key, "value": value} for key, value in backfill.labels.items()],
    }


async def _wish(request: Request) -> _Wish:
    try:
        return msgspec.json.decode(await request.body(), type=_Wish)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputInvalid(
            f"the body cannot be read: {error}", hint="send namespace, flowId and triggerId as JSON"
        ) from None


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise InputInvalid(
            f"`{moment.isoformat()}` has no time zone", hint="write it such as 2026-01-31T00:00:00Z"
        )
    return moment


def _own(labels: dict[str, str]) -> dict[str, str]:
    for key in labels:
        if key.startswith("system."):
            raise InputInvalid(f"label `{key[:100]}` belongs to the engine", hint="choose another key")
    return labels
