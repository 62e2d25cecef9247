"""Whatever text comes in, the expression dialect either renders it or raises an ExpressionError; nothing else."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from engine import expressions
from engine.errors import ExpressionError
from engine.expressions import Scope

_WORDS = r"""
    {{ }} {% %} {# #} {{- -}} ( ) [ ] { } . , : ? = | ~ .. ?? ??? + - * / % == != < >= " ' \ #{
    if endif else elseif for in endfor set macro endmacro raw endraw filter endfilter block endblock
    is not and or contains isIn defined empty upper first length date number jq replace split
    a b loop true null 0 1 7L 1.5 99999999999999999999 'x' "y" range render yaml max kv é
"""
_PIECES = st.sampled_from([*_WORDS.split(), "\n", "\x00", "\ud800"])
_SOURCES = st.one_of(
    st.text(max_size=60), st.lists(_PIECES, max_size=25).map(" ".join), st.lists(_PIECES).map("".join)
)
_SCOPE = Scope({"a": {"b": [1, "x", None]}, "b": "text"})


@settings(max_examples=400, deadline=None)
@given(_SOURCES)
def test_any_text(text: str) -> None:
    with suppress(ExpressionError):
        template = expressions.compile(text)
        template.value(_SCOPE)
        template.render(_SCOPE)


@settings(max_examples=400, deadline=None)
@given(st.lists(_PIECES, max_size=20).map(" ".join))
def test_any_expression(inside: str) -> None:
    with suppress(ExpressionError):
        expressions.compile("{{ " + inside + " }}").value(_SCOPE)


@given(st.text().filter(lambda text: "{" not in text))
def test_text_without_braces_is_itself(text: str) -> None:
    template = expressions.compile(text)
    assert template.constant
    assert template.render(_SCOPE) == text
