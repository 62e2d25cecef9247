"""Answers in JSON, and what the query of a request says, checked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from engine.errors import InputInvalid

T = TypeVar("T")
MAX_PAGE = 100_000


class Page(msgspec.Struct, frozen=True):
    """A piece of a list.

    Args:
        number: from 1.
        size: of all pages.
    """

    number: int
    size: int

    @property
    def offset(self) -> int:
        """How many come before."""
        return (self.number - 1) * self.size

    def of(self, items: Sequence[T]) -> Sequence[T]:
        """The items of this page."""
        return items[self.offset : self.offset + self.size]


def encoded(document: Any) -> bytes:
    """JSON in ASCII: a lone surrogate in a name must not become an error of its own."""
    return json.dumps(document, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def answer(document: Any, status: int = 200) -> Response:
    """A JSON document that nobody keeps."""
    return Response(encoded(document), status, {"Cache-Control": "no-store"}, "application/json")


def whole(request: Request, name: str, default: int, least: int, most: int) -> int:
    """A whole number of the query. Raises InputInvalid."""
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 19 and least <= int(text) <= most):
        raise InputInvalid(f"`{name}` is a whole number from {least} to {most}", hint="correct the query")
    return int(text)


def page(request: Request, size: int = 25, most: int = 1000) -> Page:
    """`page` (from 1) and `size` of the query. Raises InputInvalid."""
    return Page(whole(request, "page", 1, 1, MAX_PAGE), whole(request, "size", size, 1, most))


def flag(request: Request, name: str) -> bool:
    """Whether the query says yes."""
    return request.query_params.get(name, "").lower() in ("true", "1", "yes")


def labels(request: Request) -> dict[str, str]:
    """The `labels=key:value` of the query. Raises InputInvalid."""
    found: dict[str, str] = {}
    for text in request.query_params.getlist("labels"):
        key, separator, value = text.partition(":")
        if not separator or not key:
            raise InputInvalid(f"label `{text[:100]}` has no key", hint="write labels=key:value")
        found[key] = value
    return found
