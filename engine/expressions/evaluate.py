"""Syntax tree of an expression to a Python closure. Knows filters, functions and tests only through their tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from engine.errors import ExpressionError
from engine.expressions import nodes, operators, registry
from engine.expressions.access import Run, access, value_path, variable_path
from engine.expressions.calls import Macro, block_call, function_call
from engine.expressions.failures import PlacedError, RefusedError, Undefined, place
from engine.expressions.scope import Frame
from engine.expressions.values import JavaLong, condition, to_text

_COMPLEXITY: Final = 200
_SLOW: Final = frozenset({"jq", "regexExtract", "regexMatch", "regexReplace", "replace", "split"})

_OPERATIONS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": operators.add,
    "-": operators.subtract,
    "*": lambda left, right: operators.calculate("*", left, right),
    "/": lambda left, right: operators.calculate("/", left, right),
    "%": lambda left, right: operators.calculate("%", left, right),
    "==": operators.same,
    "!=": lambda left, right: not operators.same(left, right),
    ">": lambda left, right: operators.order(">", left, right),
    ">=": lambda left, right: operators.order(">=", left, right),
    "<": lambda left, right: operators.order("<", left, right),
    "<=": lambda left, right: operators.order("<=", left, right),
    "contains": operators.contains,
    "isIn": operators.is_in,
    "isNotIn": lambda left, right: not operators.is_in(left, right),
    "~": operators.concatenate,
    "..": operators.span,
}


class ExpressionCompiler:
    """Compiles expressions; gathers what they call on the way.

    Args:
        macros: the template's macros, filled in while its body is compiled.
        blocks: likewise its blocks.
    """

    def __init__(self, macros: dict[str, Macro], blocks: dict[str, Callable[[Frame], str]]) -> None:
        self.macros = macros
        self.blocks = blocks
        self.calls: set[str] = set()
        self.filters: set[str] = set()
        self.depth = 0

    def expression(self, node: nodes.Expression) -> Run:
        """The closure of an expression. Raises ExpressionError for what is wrong before anything runs."""
        self.depth += 1
        if self.depth > _COMPLEXITY:
            raise ExpressionError("The expression is too complex", hint="split it with `set` tags")
        run = self._dispatch(node)
        self.depth -= 1
        return run

    def _dispatch(self, node: nodes.Expression) -> Run:
        match node:
            case nodes.Literal(value):
                return lambda frame: value
            case nodes.Name() | nodes.Attribute():
                return self._path(node)
            case nodes.ListOf(items):
                runs = [self.expression(item) for item in items]
                return lambda frame: [run(frame) for run in runs]
            case nodes.MapOf(entries):
                pairs = [(self.expression(key), self.expression(value)) for key, value in entries]
                return lambda frame: {to_text(key(frame)): value(frame) for key, value in pairs}
            case nodes.Unary():
                return self._unary(node)
            case nodes.Binary():
                return self._binary(node)
            case nodes.Ternary():
                return self._ternary(node)
            case nodes.Filter():
                return self.filter(
                    node.name, self._filter_input(node), node.arguments, node.line, node.column
                )
            case nodes.Test():
                return self._test(node)
            case nodes.Call():
                return self._call(node)

    # variables

    def _path(self, node: nodes.Name | nodes.Attribute) -> Run:
        """A variable and the constant keys after it, in one closure: the most frequent expression by far."""
        keys: list[str] = []
        inner: nodes.Expression = node
        while (
            isinstance(inner, nodes.Attribute)
            and isinstance(inner.key, nodes.Literal)
            and isinstance(inner.key.value, str)
        ):
            keys.append(inner.key.value)
            inner = inner.target
        keys.reverse()
        path = tuple(keys)
        line = node.line
        if isinstance(inner, nodes.Name):
            return variable_path(inner.name, path, line)
        if isinstance(inner, nodes.Attribute):
            target, key = self.expression(inner.target), self.expression(inner.key)
            at = inner.line
            return value_path(lambda frame: access(target(frame), key(frame), at), path, line)
        return value_path(self.expression(inner), path, line)

    # operators

    def _unary(self, node: nodes.Unary) -> Run:
        operand, operator, line = self.expression(node.operand), node.operator, node.line

        def negate(frame: Frame) -> bool:
            value = operand(frame)
            try:
                return not condition(value, "not")
            except ExpressionError as error:
                raise place(error, "not", value, line) from None

        def sign(frame: Frame) -> Any:
            value = operand(frame)
            try:
                return operators.calculate("*", -1 if operator == "-" else 1, value)
            except ExpressionError as error:
                raise place(error, operator, value, line) from None

        return negate if operator == "not" else sign

    def _binary(self, node: nodes.Binary) -> Run:
        left, right = self.expression(node.left), self.expression(node.right)
        operator, line = node.operator, node.line
        if operator in ("and", "or"):
            return _logic(operator, left, right, line)
        if operator in ("??", "???"):
            return _coalesce(left, right, nulls=operator == "??")
        operation = _OPERATIONS[operator]

        def run(frame: Frame) -> Any:
            one, two = left(frame), right(frame)
            try:
                return operation(one, two)
            except Exception as error:
                raise place(error, operator, one, line) from None

        return run

    def _ternary(self, node: nodes.Ternary) -> Run:
        test, yes, no = self.expression(node.test), self.expression(node.yes), self.expression(node.no)
        line = node.line

        def run(frame: Frame) -> Any:
            value = test(frame)
            try:
                holds = value is not None and condition(value, "?")
            except ExpressionError as error:
                raise place(error, "?", value, line) from None
            return yes(frame) if holds else no(frame)

        return run

    # filters and tests

    def _filter_input(self, node: nodes.Filter) -> Run:
        operand = node.operand
        if node.name == "className" and isinstance(operand, nodes.Literal) and type(operand.value) is int:
            # integer literals are longs in the dialect, which nothing but `className` can tell
            return self.expression(nodes.Literal(JavaLong(operand.value)))
        return self.expression(operand)

    def filter(self, name: str, operand: Run, arguments: nodes.Arguments, line: int, column: int) -> Run:
        """The closure of a filter over the value of `operand`."""
        builtin = registry.FILTERS.get(name)
        if builtin is None:
            raise PlacedError(f"There is no filter `{name}`", "", line, column)
        self.filters.add(name)
        runs = _bound(builtin, "filter", *self._arguments(arguments), line, column)
        call = builtin.call
        if name == "default":
            operand = _coalesce(operand, lambda frame: None, nulls=False)
        elif name in _SLOW:
            operand = _timed(operand)

        def simple(frame: Frame) -> Any:
            value = operand(frame)
            try:
                return call(value)
            except Exception as error:
                raise place(error, name, value, line, column) from None

        def run(frame: Frame) -> Any:
            value = operand(frame)
            given = [run(frame) for run in runs]
            try:
                return call(value, *given)
            except Exception as error:
                raise place(error, name, value, line, column) from None

        return run if runs else simple

    def _arguments(self, arguments: nodes.Arguments) -> tuple[list[Run], list[tuple[str, Run]]]:
        given = [self.expression(argument) for argument in arguments.positional]
        return given, [(key, self.expression(argument)) for key, argument in arguments.named]

    def _test(self, node: nodes.Test) -> Run:
        test = registry.TESTS.get(node.name)
        if test is None:
            raise PlacedError(f"There is no test `{node.name}`", "", node.line, node.column)
        name, negated, line, column = node.name, node.negated, node.line, node.column
        operand = self.expression(node.operand)
        if name == "defined":
            operand = _coalesce(operand, lambda frame: None, nulls=False)

        def run(frame: Frame) -> bool:
            value = operand(frame)
            try:
                return test(value) is not negated
            except Exception as error:
                raise place(error, name, value, line, column) from None

        return run

    # calls

    def _call(self, node: nodes.Call) -> Run:
        name = node.name
        if name == "block":
            return self._block(node)
        self.calls.add(name)
        given, named = self._arguments(node.arguments)
        builtin = registry.FUNCTIONS.get(name)
        bound = _bound(builtin, "function", given, named, node.line, node.column) if builtin else []
        return function_call(node, given, named, builtin, bound, self.macros)

    def _block(self, node: nodes.Call) -> Run:
        if len(node.arguments.positional) != 1:
            raise PlacedError("`block()` needs the name of a block", "", node.line, node.column)
        return block_call(node, self.expression(node.arguments.positional[0]), self.blocks)


def _bound(
    builtin: registry.Builtin,
    what: str,
    given: list[Run],
    named: list[tuple[str, Run]],
    line: int,
    column: int,
) -> list[Run]:
    try:
        bound = registry.bind(builtin, what, given, named)
    except ExpressionError as error:
        raise place(error, builtin.name, None, line, column) from None
    return [run or (lambda frame: None) for run in bound]


def _logic(operator: str, left: Run, right: Run, line: int) -> Run:
    decided = operator == "or"

    def run(frame: Frame) -> bool:
        value = left(frame)
        try:
            if condition(value, operator) is decided:
                return decided
            value = right(frame)
            return condition(value, operator)
        except ExpressionError as error:
            raise place(error, operator, value, line) from None

    return run


def _timed(inner: Run) -> Run:
    """The same value, but not when the time for the rendering is over."""

    def run(frame: Frame) -> Any:
        frame.check_time()
        return inner(frame)

    return run


def _coalesce(left: Run, right: Run, *, nulls: bool) -> Run:
    """The left value; the right one when it is undefined or, with `nulls`, null or refused by the host."""
    swallowed = (Undefined, RefusedError) if nulls else (Undefined,)

    def run(frame: Frame) -> Any:
        try:
            value = left(frame)
        except swallowed:
            return right(frame)
        return right(frame) if nulls and value is None else value

    return run
