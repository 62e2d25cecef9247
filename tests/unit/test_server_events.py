"""Reading server-sent events, however the network cuts them into pieces."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.tasks.server_events import Reader


def read(*pieces: bytes) -> list[dict[str, Any]]:
    reader = Reader()
    return [event for piece in pieces for event in reader.feed(piece)]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [{"data": "a"}]),
        (b"data:a\r\rdata:  b\r\r", [{"data": "a"}, {"data": " b"}]),
        (b"data: one\ndata: two\n\n", [{"data": "one\ntwo"}]),
        (
            b'id: 7\nevent: add\nretry: 10\ndata: {"a": [1]}\n\n',
            [{"data": {"a": [1]}, "id": "7", "name": "add", "retry": 10}],
        ),
        (b": hello\ndata: 12\n\n", [{"data": 12, "comment": "hello"}]),
        (b"event: nothing\n\ndata\n\n", [{"data": ""}]),
        (b"other: x\nretry: -1\nid: a\0b\ndata: {broken\n\n", [{"data": "{broken"}]),
        (b"\xef\xbb\xbfdata: \xff\n\n", [{"data": "\N{REPLACEMENT CHARACTER}"}]),
        (b"data: cut off\n", []),
        (b"data: " + b"[" * 100_000 + b"\n\n", [{"data": "[" * 100_000}]),
    ],
)
def test_a_stream_gives_its_events(stream: bytes, events: list[dict[str, Any]]) -> None:
    assert read(stream) == events


@given(
    st.lists(st.sampled_from(["data: é", "id: 1", ":c", "", "event: x", "data"]), max_size=12),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.integers(0, 120), max_size=8),
)
def test_it_is_no_matter_where_a_stream_is_cut(lines: list[str], end: str, cuts: list[int]) -> None:
    stream = "".join(line + end for line in [*lines, "data: last", ""]).encode()
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    assert read(*(stream[a:b] for a, b in pairwise(places))) == read(stream)
