"""Whatever bytes a flow file has, reading it ends in a flow or in problems; and both YAML readers agree."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from yaml12 import format_yaml, parse_yaml

from engine.errors import FlowInvalid
from engine.plugins import registry
from engine.spec.compile import check_flow, compile_flow
from engine.spec.marks import read
from engine.spec.suspicion import needs_care

SPOKEN = """id namespace tasks type core.log.Log core.flow.If core.flow.Switch core.flow.Dag core.trigger.Schedule
message then cases errors triggers inputs cron labels retry dependsOn STRING values null true 0 007 1.5 ~ {{ }} {{x}}
[ ] { } - : # | > & * ! && &a *a << ' " % @ ` ? --- ... é \\"""
WORDS = st.sampled_from([*SPOKEN.split(), "\t", "\r", ""])
PIECES = st.one_of(
    WORDS, st.sampled_from([" ", "  ", "\n", "\n  ", "\n  - ", ": ", ":\n", "- "]), st.text(max_size=4)
)
SOUP = st.lists(PIECES, max_size=40).map("".join)

PROPERTIES = """id namespace tasks errors finally triggers inputs outputs labels retry type message values then else
cases defaults condition cron key dependsOn task pluginDefaults checks sla concurrency listeners preconditions"""
KEYS = st.sampled_from(PROPERTIES.split())
TYPES = [
    "core.log.Log",
    "core.flow.Dag",
    "core.flow.Pause",
    "core.trigger.Flow",
    "scripts.python.Script",
    "constant",
]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(TYPES),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=5)),
    max_leaves=25,
)


def check(content: bytes) -> None:
    checked = check_flow(content, "f", registry())
    errors = [problem for problem in checked.problems if problem.severity == "error"]
    assert (checked.flow is None) == bool(errors)
    if checked.flow is not None:
        assert compile_flow(content, "f", registry()) == checked.flow
        return
    with pytest.raises(FlowInvalid) as caught:
        compile_flow(content, "f", registry())
    assert set(caught.value.problems) <= set(checked.problems)


@settings(max_examples=300, deadline=None)
@given(SOUP)
@example("id: a\nnamespace: b\ntasks:\n  - - - {id: x}")
@example("tasks: {1: 2}\n1: 3")
@example("tasks: .nan")
def test_soup(text: str) -> None:
    check(text.encode("utf-8", "surrogatepass"))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60))
def test_bytes(content: bytes) -> None:
    check(content)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(KEYS, TREES, max_size=8))
def test_trees(tree: dict[str, Any]) -> None:
    check(format_yaml(tree).encode("utf-8", "surrogatepass"))


def odd(text: str) -> bool:
    """Whether it has characters that YAML does not allow, or that only one of the readers takes for a line end."""
    return (
        re.search("[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ufeff\\ufffe\\uffff]", text) is not None
    )


LINES = st.lists(
    st.sampled_from(
        [
            *(
                "a:",
                "b: |",
                "- a: 1",
                "- b: x",
                "  a: 1",
                "  - c",
                "  c: |",
                "  c: >-",
                "    x: 1",
                "    y",
                "",
                "# c",
            ),
            *(
                "   # c",
                "a: 'x'",
                'b: "y"  # c',
                "- - a: 1",
                "    b: 2",
                "  a: 0x1",
                "k: [1, 2]",
                "k: [a, 'b c']",
                "-",
            ),
            *(
                "c: a b # x",
                "c: a #b",
                '"q": 1',
                "d: a: b",
                "e:  ",
                "    - z: |",
                "      zz",
                "  text: a",
                "a:b: 1",
            ),
            *(
                "x: -1",
                "x: -",
                "x: - 1",
                "x: .5",
                "y: 1e5",
                "y: 1_0",
                "z: ~",
                "w: +1",
                "---",
                "a: 01",
                "f: &x a",
            ),
        ]
    ),
    max_size=8,
)


@settings(max_examples=400, deadline=None)
@given(LINES, st.sampled_from(["", "\n"]))
@example(["  a: 1", "b: 2"], "\n")
@example(["a: |", "  b"], "")
@example(["a: |", ""], "\n")
def test_what_the_fast_reader_is_trusted_with_the_exact_one_reads_alike(lines: list[str], end: str) -> None:
    text = "\n".join(lines) + end
    if not needs_care(text):
        exact = read(text)
        with suppress(ValueError):  # then the exact reader is asked
            assert repr(parse_yaml(text)) == repr(exact.data)
            assert not exact.faults


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(KEYS, TREES, max_size=6))
def test_written_trees_are_read_alike(tree: dict[str, Any]) -> None:
    text = format_yaml(tree) + "\n"
    if not odd(text) and not needs_care(text):
        exact = read(text)
        assert not exact.faults
        assert repr(parse_yaml(text)) == repr(exact.data)
