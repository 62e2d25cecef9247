"""The `::{…}::` lines by which a task hands on outputs, metrics and messages."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.protocol import MAX_LINE, Message, parse, stream_level
from engine.model.task import Metric

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_everything_at_once() -> None:
    report = parse(
        '::{"outputs":{"n":1,"list":[{"a":null}]},"metrics":[{"name":"rows","type":"counter","value":3,'
        '"tags":{"t":1,"ok":true}},{"name":"took","type":"timer","value":1.5}],'
        '"logs":[{"level":"warning","message":"mind"},{"message":"plain"},{"level":"odd","message":"x"}],"new":1}::'
    )
    assert report is not None
    assert report.outputs == {"n": 1, "list": [{"a": None}]}
    assert report.metrics == (
        Metric("rows", "counter", 3.0, {"t": "1", "ok": "true"}),
        Metric("took", "timer", 1.5),
    )
    assert report.logs == (Message("WARN", "mind"), Message("INFO", "plain"), Message("INFO", "x"))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "plain",
        "::{}",
        "{}::",
        ":::{}::",
        " ::{}::",
        "::{}:: ",
        "::{a}::",
        '::{"outputs":[]}::',
        '::{"outputs":{"a":NaN}}::',
        '::{"metrics":[{"name":"a","type":"sum","value":1}]}::',
        '::{"metrics":[{"name":"a","type":"gauge","value":1e999}]}::',
        '::{"logs":["x"]}::',
        '::{"a":"\ud800"}::',
        '::{"outputs":{"a":' + "[" * 5000 + "]" * 5000 + "}}::",
        '::{"outputs":{"a":"' + "x" * MAX_LINE + '"}}::',
    ],
)
def test_anything_else_is_an_ordinary_line(line: str) -> None:
    assert parse(line) is None


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_outputs_come_through_as_they_are(outputs: dict[str, object]) -> None:
    report = parse("::" + json.dumps({"outputs": outputs}) + "::")
    assert report is not None
    assert report.outputs == outputs


@given(st.text())
def test_no_line_breaks_it(text: str) -> None:
    parse(text)
    parse("::{" + text + "}::")


def test_levels_of_the_streams() -> None:
    assert (stream_level("stdout"), stream_level("stderr")) == ("INFO", "ERROR")
