"""A compiled template and what can be done with it. The one place where parsing and evaluating meet.

Rendering is single-pass: what a variable holds is never rendered by itself, only through `render()` (dialect,
section 5). A text without delimiters costs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from engine.errors import ExpressionError
from engine.expressions import limits, nodes
from engine.expressions.access import Run
from engine.expressions.failures import shorten, tell, told
from engine.expressions.lexer import Source, is_constant
from engine.expressions.render import BodyCompiler, Emit
from engine.expressions.scope import Frame, Scope, Sink
from engine.expressions.tags import parse
from engine.expressions.values import plain, to_text

_CACHED_CHARS: Final = 20_000
_RAW: Final = re.compile(r"\{%-*\s*raw\s*-*%\}(.*?)\{%-*\s*endraw\s*-*%\}", re.DOTALL)


class Template:
    """A compiled template; make one with `compile`.

    Args:
        text: the template as written.

    Attributes:
        constant: whether the text has no delimiter, so that it renders to itself.
        calls: the names of the functions that it calls anywhere, macros of its own left out.
    """

    __slots__ = ("_emit", "_plain", "_single", "calls", "constant", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.constant = is_constant(text)
        self.calls: frozenset[str] = frozenset()
        self._single: Run | None = None
        self._emit: Emit | None = None
        self._plain = False
        if not self.constant:
            self._compile()

    def __repr__(self) -> str:
        return f"Template({shorten(self.text)!r})"

    def _compile(self) -> None:
        compiler = BodyCompiler()
        try:
            body = parse(Source(self.text))
            match body:
                case (nodes.Print(expression),):
                    self._single = compiler.expression(expression)
                case _:
                    self._emit = compiler.body(body)
        except RecursionError:
            raise told("Too deeply nested", self.text) from None
        except ExpressionError as error:
            raise tell(error, self.text) from None
        self.calls = frozenset(compiler.calls - compiler.macros.keys())
        # only the filter `number` makes numbers of our own types
        self._plain = "number" in compiler.filters

    def render(self, scope: Scope) -> str:
        """The template as text.

        Raises:
            ExpressionError: something is undefined, does not fit, or goes over a bound.
        """
        if self.constant:
            return self.text
        return self.text_in(Frame(scope))

    def value(self, scope: Scope) -> Any:
        """The value itself when the template is exactly one expression, its text otherwise.

        Raises:
            ExpressionError: as `render`.
        """
        if self._single is None:
            return self.render(scope)
        value = self._run(self._single, Frame(scope))
        return plain(value) if self._plain else value

    def text_in(self, frame: Frame) -> str:
        """The template as text, inside a rendering that is under way. Raises ExpressionError."""
        if self.constant:
            return self.text
        try:
            if self._single is not None:
                text = to_text(self._single(frame))
                if len(text) > limits.OUTPUT_CHARS:
                    limits.check_text(len(text))
                return text
            sink = Sink()
            assert self._emit is not None
            self._emit(frame, sink)
            return sink.text()
        except ExpressionError as error:
            raise tell(error, self.text) from None
        except RecursionError:
            raise told("Too deeply nested", self.text) from None

    def _run(self, run: Run, frame: Frame) -> Any:
        try:
            return run(frame)
        except ExpressionError as error:
            raise tell(error, self.text) from None
        except RecursionError:
            raise told("Too deeply nested", self.text) from None


@lru_cache(maxsize=4096)
def _cached(text: str) -> Template:
    return Template(text)


def compile_template(text: str) -> Template:
    """The template of a text, cached.

    Raises:
        ExpressionError: it cannot be parsed, or uses a filter or test that does not exist; says line and column.
    """
    return _cached(text) if len(text) <= _CACHED_CHARS else Template(text)


def render_deep(value: Any, scope: Scope) -> Any:
    """Render all strings inside lists and maps, keys too; values keep the type that their template gives them.

    Raises:
        ExpressionError: as `Template.render`, or for data nested deeper than anybody writes.
    """
    return _render_deep(value, scope, 0)


def _render_deep(value: Any, scope: Scope, depth: int) -> Any:
    if isinstance(value, str):
        return compile_template(value).value(scope) if "{" in value else value
    if depth > limits.NESTING:
        raise ExpressionError(f"A property is nested more than {limits.NESTING} levels deep")
    if isinstance(value, Mapping):
        return {
            compile_template(key).render(scope) if isinstance(key, str) else key: _render_deep(
                item, scope, depth + 1
            )
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_render_deep(item, scope, depth + 1) for item in value]
    return value


def render_inside(text: str, frame: Frame, *, recursive: bool) -> str:
    """Render a text found in a variable, as `render()` does: once, or until nothing changes any more.

    Raises:
        ExpressionError: as `Template.render`, or when it still changes after 100 passes.
    """
    if not recursive:
        inner = frame.nested(keep_raw=False)
        result = compile_template(text).text_in(inner)
        frame.turns = inner.turns
        return result
    for _ in range(limits.PASSES):
        inner = frame.nested(keep_raw=True)
        result = compile_template(text).text_in(inner)
        frame.turns = inner.turns
        if result == text:
            return _RAW.sub(r"\1", result)
        text = result
        frame.check_time()
    raise ExpressionError(f"`render()` still changes its text after {limits.PASSES} passes")
