"""Server-sent events, read from the pieces of a response (WHATWG HTML, section 9.2.6). Pure; knows no HTTP."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any

_LINE = re.compile(r"\r\n|\n|\r")


class Reader:
    """Reads the events of one stream; what has not been ended by a blank line when the stream ends is no event."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._pieces: list[str] = []
        self._returned = False
        self._data: list[str] = []
        self._event: dict[str, Any] = {}

    def feed(self, piece: bytes) -> Iterator[dict[str, Any]]:
        """The events that a piece completes.

        Each has `data` (what its JSON says, else its text) and, where they were sent, `id`, `name`, `comment` and
        `retry` (milliseconds).
        """
        text = self._decoder.decode(piece)
        if self._returned and text:
            text = text.removeprefix("\n")  # the other half of a CRLF
            self._returned = False
        if not text:
            return
        self._returned = text.endswith("\r")
        self._pieces.append(text)
        if "\n" not in text and "\r" not in text:
            return
        *lines, rest = _LINE.split("".join(self._pieces))
        self._pieces = [rest]
        for line in lines:
            if line:
                self._field(line)
                continue
            if self._data:
                yield {"data": _value("\n".join(self._data)), **self._event}
            self._data, self._event = [], {}

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif not name:
            earlier = self._event.get("comment")
            self._event["comment"] = value if earlier is None else f"{earlier}\n{value}"
        elif name == "event":
            self._event["name"] = value
        elif name == "id" and "\0" not in value:
            self._event["id"] = value
        elif name == "retry" and value.isascii() and value.isdecimal():
            self._event["retry"] = int(value[:12])


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
