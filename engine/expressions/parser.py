"""Tokens to syntax tree: expressions by precedence climbing. Knows no filter, function or test by name.

Precedence, from loose to tight: `? :`, or, and, is / contains / isIn, comparisons, `+ -`, `* / %`, `|`, `~`,
`.. ?? ???`, unary, access (dialect, section 5.1; a filter binds looser than `~`).
"""

from __future__ import annotations

from typing import Final

from engine.errors import ExpressionError
from engine.expressions import limits, nodes
from engine.expressions.lexer import Source, Token

_BINARY: Final = {
    "or": 10,
    "and": 15,
    "is": 20,
    "is not": 20,
    "contains": 20,
    "isIn": 20,
    "isNotIn": 20,
    "==": 30,
    "equals": 30,
    "!=": 30,
    ">": 30,
    "<": 30,
    ">=": 30,
    "<=": 30,
    "+": 40,
    "-": 40,
    "*": 60,
    "/": 60,
    "%": 60,
    "|": 100,
    "~": 110,
    "..": 120,
    "??": 120,
    "???": 120,
}
_UNARY: Final = frozenset({"not", "-", "+"})
_TIGHT: Final = 500
_CONSTANTS: Final = {
    "true": True,
    "TRUE": True,
    "false": False,
    "FALSE": False,
    "null": None,
    "NULL": None,
    "none": None,
    "NONE": None,
}
_INTEGER_DIGITS: Final = 19


class ExpressionParser:
    """Reads expressions from a list of tokens that ends with one of kind `end`."""

    def __init__(self, source: Source, tokens: list[Token] | tuple[Token, ...]) -> None:
        self.source = source
        self.tokens = tokens
        self.index = 0
        self.depth = 0

    # reading tokens

    @property
    def current(self) -> Token:
        """The token to be read next."""
        return self.tokens[self.index]

    def next(self) -> Token:
        """Take one token; the last one stays."""
        token = self.tokens[self.index]
        if token.kind != "end":
            self.index += 1
        return token

    def at(self, kind: str, value: str | None = None) -> bool:
        """Whether the next token is this one."""
        token = self.tokens[self.index]
        return token.kind == kind and (value is None or token.value == value)

    def take(self, kind: str, value: str | None = None) -> bool:
        """Take the next token if it is this one."""
        found = self.at(kind, value)
        if found:
            self.next()
        return found

    def expect(self, kind: str, value: str | None = None) -> Token:
        """Take the next token, which must be this one. Raises ExpressionError."""
        if not self.at(kind, value):
            raise self.unexpected(value or kind)
        return self.next()

    def unexpected(self, wanted: str = "") -> ExpressionError:
        """The error for the next token."""
        token = self.current
        found = (
            f"`{token.value}`"
            if token.value
            else {"end": "end of the template"}.get(token.kind, "end of the tag")
        )
        wanted = {"print_end": "}}", "tag_end": "%}"}.get(wanted, wanted)
        message = f"Expected `{wanted}`, found {found}" if wanted else f"Unexpected {found}"
        return self.source.error(message, token.at)

    def new_name(self) -> str:
        """Take a name that something is about to be called."""
        token = self.expect("name")
        if token.value in _CONSTANTS:
            raise self.source.error(f"`{token.value}` cannot be given a value", token.at)
        return token.value

    # expressions

    def expression(self, minimum: int = 0) -> nodes.Expression:
        """Read one expression whose operators bind at least as tightly as `minimum`. Raises ExpressionError."""
        self.depth += 1
        if self.depth > limits.NESTING:
            raise self.source.error("Too deeply nested", self.current.at)
        left = self._operand()
        while self.at("op") and _BINARY.get(self.current.value, -1) >= minimum:
            left = self._binary(left)
        if minimum == 0 and self.take("punct", "?"):
            yes = self.expression()
            self.expect("punct", ":")
            left = nodes.Ternary(left, yes, self.expression(), self.source.line(self.current.at))
        self.depth -= 1
        return left

    def _binary(self, left: nodes.Expression) -> nodes.Expression:
        token = self.next()
        line = self.source.line(token.at)
        if token.value == "|":
            name = self.expect("name")
            return nodes.Filter(
                name.value,
                left,
                self.optional_arguments(),
                self.source.line(name.at),
                self.source.column(name.at),
            )
        if token.value in ("is", "is not"):
            name = self.expect("name")
            self.optional_arguments()
            negated = token.value == "is not"
            return nodes.Test(
                name.value, left, negated, self.source.line(name.at), self.source.column(name.at)
            )
        right = self.expression(_BINARY[token.value] + 1)
        return nodes.Binary("==" if token.value == "equals" else token.value, left, right, line)

    def _operand(self) -> nodes.Expression:
        token = self.current
        if token.kind == "op" and token.value in _UNARY:
            self.next()
            operand = self.expression(_TIGHT)
            return nodes.Unary(token.value, operand, self.source.line(token.at))
        if self.at("punct", "["):
            return self._list()
        if self.at("punct", "{"):
            return self._map()
        if self.take("punct", "("):
            inner = self.expression()
            self.expect("punct", ")")
            return self._access(inner)
        return self._access(self._simple())

    def _simple(self) -> nodes.Expression:
        token = self.next()
        if token.kind == "str":
            return nodes.Literal(token.value)
        if token.kind == "join":
            return self._join(token)
        if token.kind == "int":
            digits = token.value.rstrip("lL").lstrip("0")
            if len(digits) > _INTEGER_DIGITS or int(digits or "0") >= 2**63:
                raise self.source.error("An integer does not fit into 64 bits", token.at)
            return nodes.Literal(int(digits or "0"))
        if token.kind == "float":
            return nodes.Literal(float(token.value))
        if token.kind == "name":
            if token.value in _CONSTANTS and not self.at("punct", "("):
                return nodes.Literal(_CONSTANTS[token.value])
            line, column = self.source.line(token.at), self.source.column(token.at)
            if self.at("punct", "("):
                return nodes.Call(token.value, self.arguments(), line, column)
            return nodes.Name(token.value, line)
        self.index = max(0, self.index - (token.kind != "end"))
        raise self.unexpected()

    def _join(self, token: Token) -> nodes.Expression:
        joined: nodes.Expression = nodes.Literal("")
        line = self.source.line(token.at)
        for part in token.parts:
            piece: nodes.Expression
            if isinstance(part, str):
                piece = nodes.Literal(part)
            else:
                inner = ExpressionParser(self.source, part)
                inner.depth = self.depth
                piece = inner.expression()
                inner.expect("end")
            joined = nodes.Binary("~", joined, piece, line)
        return joined

    def _access(self, target: nodes.Expression) -> nodes.Expression:
        while True:
            token = self.current
            if self.take("punct", "."):
                # words such as `contains` are operators elsewhere, but names of fields here
                key = self.next()
                if key.kind not in ("name", "op", "int") or not (
                    key.value[:1].isalnum() or key.value[:1] == "_"
                ):
                    self.index -= key.kind != "end"
                    raise self.unexpected("name")
                if self.at("punct", "("):
                    raise self.source.error(
                        f"`{key.value}` is a method, which cannot be called; use a filter", key.at
                    )
                value = int(key.value) if key.kind == "int" and len(key.value) < 10 else key.value
                target = nodes.Attribute(target, nodes.Literal(value), self.source.line(token.at))
            elif self.take("punct", "["):
                subscript = self.expression()
                self.expect("punct", "]")
                target = nodes.Attribute(target, subscript, self.source.line(token.at))
            elif self.at("punct", "("):
                raise self.source.error("Only functions and macros can be called", token.at)
            else:
                return target

    def _list(self) -> nodes.Expression:
        self.expect("punct", "[")
        items: list[nodes.Expression] = []
        while not self.at("punct", "]"):
            if items:
                self.expect("punct", ",")
            items.append(self.expression())
        self.next()
        return nodes.ListOf(tuple(items))

    def _map(self) -> nodes.Expression:
        self.expect("punct", "{")
        entries: list[tuple[nodes.Expression, nodes.Expression]] = []
        while not self.at("punct", "}"):
            if entries:
                self.expect("punct", ",")
            key = self.expression()
            self.expect("punct", ":")
            entries.append((key, self.expression()))
        self.next()
        return nodes.MapOf(tuple(entries))

    # calls

    def optional_arguments(self) -> nodes.Arguments:
        """Read arguments in parentheses, if there are any."""
        return self.arguments() if self.at("punct", "(") else nodes.Arguments()

    def arguments(self) -> nodes.Arguments:
        """Read arguments in parentheses: positional ones, then named ones."""
        self.expect("punct", "(")
        positional: list[nodes.Expression] = []
        named: list[tuple[str, nodes.Expression]] = []
        while not self.at("punct", ")"):
            if positional or named:
                self.expect("punct", ",")
            token, following = self.current, self.tokens[min(self.index + 1, len(self.tokens) - 1)]
            if token.kind == "name" and following.kind == "punct" and following.value == "=":
                name = self.new_name()
                self.next()
                named.append((name, self.expression()))
            elif named:
                raise self.source.error("A positional argument after a named one", token.at)
            else:
                positional.append(self.expression())
        self.next()
        return nodes.Arguments(tuple(positional), tuple(named))
