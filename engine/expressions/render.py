"""Syntax tree of a template's body to closures that write output. Knows no filter and no function.

Local variables: a loop has its own layer for all its turns, a macro sees nothing but its own (dialect, section 5.1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from engine.errors import ExpressionError
from engine.expressions import nodes
from engine.expressions.access import Run, iterate
from engine.expressions.evaluate import ExpressionCompiler
from engine.expressions.failures import PlacedError
from engine.expressions.scope import Barrier, Frame, Sink
from engine.expressions.values import condition, to_text

Emit: TypeAlias = Callable[[Frame, Sink], None]


class BodyCompiler(ExpressionCompiler):
    """Compiles the body of one template."""

    def __init__(self) -> None:
        super().__init__({}, {})

    def body(self, body: nodes.Body) -> Emit:
        """The closure that writes a body. Raises ExpressionError for what is wrong before anything runs."""
        emits = [self._node(node) for node in body]
        if len(emits) == 1:
            return emits[0]

        def emit(frame: Frame, sink: Sink) -> None:
            for one in emits:
                one(frame, sink)

        return emit

    def _node(self, node: nodes.Node) -> Emit:
        match node:
            case nodes.Text(text):
                return lambda frame, sink: sink.write(text)
            case nodes.Raw(text):
                return _raw(text)
            case nodes.Print(expression):
                run = self.expression(expression)
                return lambda frame, sink: sink.write(to_text(run(frame)))
            case nodes.If():
                return self._if(node)
            case nodes.For():
                return self._for(node)
            case nodes.Set(name, expression):
                return _set(name, self.expression(expression))
            case nodes.Macro():
                self._macro(node)
                return lambda frame, sink: None
            case nodes.Block(name, body):
                emit = self.body(body)
                self.blocks[name] = _captured(emit)
                return emit
            case nodes.FilterTag():
                return self._filter(node)

    def _if(self, node: nodes.If) -> Emit:
        branches = [(self.expression(test), self.body(body)) for test, body in node.branches]
        otherwise, line = self.body(node.otherwise), node.line

        def emit(frame: Frame, sink: Sink) -> None:
            for test, body in branches:
                value = test(frame)
                try:
                    holds = condition(value, "if")
                except ExpressionError as error:
                    raise PlacedError(error.message, error.hint, line, 0) from None
                if holds:
                    return body(frame, sink)
            return otherwise(frame, sink)

        return emit

    def _for(self, node: nodes.For) -> Emit:
        items_of, body, otherwise = (
            self.expression(node.items),
            self.body(node.body),
            self.body(node.otherwise),
        )
        variable, line = node.variable, node.line

        def emit(frame: Frame, sink: Sink) -> None:
            value = items_of(frame)
            if value is None:
                return
            items = iterate(value, line)
            if not items:
                otherwise(frame, sink)
                return
            length = len(items)
            layer: dict[str, Any] = {}
            frame.locals.append(layer)
            try:
                for index, item in enumerate(items):
                    frame.turn()
                    layer["loop"] = _loop(index, length)
                    layer[variable] = item
                    body(frame, sink)
            finally:
                frame.locals.pop()

        return emit

    def _macro(self, node: nodes.Macro) -> None:
        names = [name for name, _ in node.parameters]
        defaults = [(name, self.expression(value)) for name, value in node.parameters if value is not None]
        if node.name in self.macros:
            raise ExpressionError(f"There are two macros `{node.name}`")
        body = _captured(self.body(node.body))

        def call(frame: Frame, positional: list[Any], named: dict[str, Any]) -> str:
            unknown = [name for name in named if name not in names]
            if unknown or len(positional) > len(names):
                raise ExpressionError(
                    f"The macro `{node.name}` takes the arguments {', '.join(names) or 'none'}",
                )
            layer = Barrier(dict.fromkeys(names))
            frame.enter()
            frame.locals.append(layer)
            try:
                for name, default in defaults:
                    layer[name] = default(frame)
                layer.update(zip(names, positional, strict=False))
                layer.update(named)
                return body(frame)
            finally:
                frame.locals.pop()
                frame.depth -= 1

        self.macros[node.name] = call

    def _filter(self, node: nodes.FilterTag) -> Emit:
        run: Run = _captured(self.body(node.body))
        for name, arguments, line, column in node.filters:
            run = self.filter(name, run, arguments, line, column)
        return lambda frame, sink: sink.write(to_text(run(frame)))


def _loop(index: int, length: int) -> dict[str, Any]:
    return {
        "index": index,
        "length": length,
        "first": index == 0,
        "last": index == length - 1,
        "revindex": length - 1 - index,
    }


def _raw(text: str) -> Emit:
    kept = "{% raw %}" + text + "{% endraw %}"
    return lambda frame, sink: sink.write(kept if frame.keep_raw else text)


def _set(name: str, run: Run) -> Emit:
    def emit(frame: Frame, sink: Sink) -> None:
        frame.local()[name] = run(frame)

    return emit


def _captured(emit: Emit) -> Callable[[Frame], str]:
    def run(frame: Frame) -> str:
        sink = Sink()
        emit(frame, sink)
        return sink.text()

    return run
