"""The syntax tree of a template: plain frozen values. Knows neither text nor meaning.

`line` counts from 1; `column` from 1.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec


class Literal(msgspec.Struct, frozen=True):
    """A constant."""

    value: Any


class Name(msgspec.Struct, frozen=True):
    """A variable."""

    name: str
    line: int


class Attribute(msgspec.Struct, frozen=True):
    """`target.key` or `target[key]`."""

    target: Expression
    key: Expression
    line: int


class ListOf(msgspec.Struct, frozen=True):
    """`[a, b]`."""

    items: tuple[Expression, ...]


class MapOf(msgspec.Struct, frozen=True):
    """`{k: v}`."""

    entries: tuple[tuple[Expression, Expression], ...]


class Unary(msgspec.Struct, frozen=True):
    """`not x`, `-x`, `+x`."""

    operator: str
    operand: Expression
    line: int


class Binary(msgspec.Struct, frozen=True):
    """`left operator right`."""

    operator: str
    left: Expression
    right: Expression
    line: int


class Ternary(msgspec.Struct, frozen=True):
    """`test ? yes : no`."""

    test: Expression
    yes: Expression
    no: Expression
    line: int


class Arguments(msgspec.Struct, frozen=True):
    """What a call is given, in the order of the source."""

    positional: tuple[Expression, ...] = ()
    named: tuple[tuple[str, Expression], ...] = ()


class Filter(msgspec.Struct, frozen=True):
    """`operand | name(arguments)`."""

    name: str
    operand: Expression
    arguments: Arguments
    line: int
    column: int


class Test(msgspec.Struct, frozen=True):
    """`operand is name`, or `is not`."""

    name: str
    operand: Expression
    negated: bool
    line: int
    column: int


class Call(msgspec.Struct, frozen=True):
    """`name(arguments)`: a function or a macro."""

    name: str
    arguments: Arguments
    line: int
    column: int


Expression: TypeAlias = (
    Literal | Name | Attribute | ListOf | MapOf | Unary | Binary | Ternary | Filter | Test | Call
)


class Text(msgspec.Struct, frozen=True):
    """Text that goes out as it is."""

    text: str


class Raw(msgspec.Struct, frozen=True):
    """The inside of a `raw` tag."""

    text: str


class Print(msgspec.Struct, frozen=True):
    """`{{ expression }}`."""

    expression: Expression


class If(msgspec.Struct, frozen=True):
    """`if … elseif … else`."""

    branches: tuple[tuple[Expression, Body], ...]
    otherwise: Body
    line: int


class For(msgspec.Struct, frozen=True):
    """`for variable in items … else`."""

    variable: str
    items: Expression
    body: Body
    otherwise: Body
    line: int


class Set(msgspec.Struct, frozen=True):
    """`set name = expression`."""

    name: str
    expression: Expression


class Macro(msgspec.Struct, frozen=True):
    """`macro name(parameters)`; a parameter without a default has none."""

    name: str
    parameters: tuple[tuple[str, Expression | None], ...]
    body: Body


class Block(msgspec.Struct, frozen=True):
    """`block name`."""

    name: str
    body: Body


class FilterTag(msgspec.Struct, frozen=True):
    """`filter a | b`: filters over the output of the body."""

    filters: tuple[tuple[str, Arguments, int, int], ...]
    body: Body


Node: TypeAlias = Text | Raw | Print | If | For | Set | Macro | Block | FilterTag
Body: TypeAlias = tuple[Node, ...]
