"""Tokens to syntax tree: text and tags. Knows no filter, function or test by name."""

from __future__ import annotations

from typing import Final

from engine.expressions import limits, nodes
from engine.expressions.lexer import Source, tokenize
from engine.expressions.parser import ExpressionParser

_REFUSED: Final = {
    "autoescape": "there is no escaping",
    "cache": "there is no cache",
    "embed": "templates cannot reach files; use `read()`",
    "extends": "templates cannot reach files; use `read()`",
    "from": "templates cannot reach files; use `read()`",
    "import": "templates cannot reach files; use `read()`",
    "include": "templates cannot reach files; use `read()`",
    "parallel": "templates render in one thread",
}


def parse(source: Source) -> nodes.Body:
    """The syntax tree of a template. Raises ExpressionError with line and column."""
    parser = _TagParser(source, tokenize(source))
    body = parser.body(())
    if parser.current.kind != "end":
        raise parser.unexpected()
    return body


class _TagParser(ExpressionParser):
    def body(self, stops: tuple[str, ...]) -> nodes.Body:
        """Read up to one of the tags `stops`, which is left to be read: the next token is its name."""
        self.depth += 1
        if self.depth > limits.NESTING:
            raise self.source.error("Too deeply nested", self.current.at)
        found: list[nodes.Node] = []
        opened = self.current.at
        while not self.at("end"):
            token = self.next()
            if token.kind == "text":
                found.append(nodes.Text(token.value))
            elif token.kind == "raw":
                found.append(nodes.Raw(token.value))
            elif token.kind == "print":
                found.append(nodes.Print(self.expression()))
                self.expect("print_end")
            elif self.at("name") and self.current.value in stops:
                self.depth -= 1
                return tuple(found)
            else:
                found.append(self._tag())
        if stops:
            raise self.source.error(f"Missing `{{% {stops[-1]} %}}` for the tag", max(0, opened - 1))
        self.depth -= 1
        return tuple(found)

    def _tag(self) -> nodes.Node:
        token = self.expect("name")
        if token.value in _REFUSED:
            raise self.source.error(
                f"The tag `{token.value}` is not available: {_REFUSED[token.value]}", token.at
            )
        line = self.source.line(token.at)
        match token.value:
            case "if":
                return self._if(line)
            case "for":
                return self._for(line)
            case "set":
                return self._set()
            case "macro":
                return self._macro()
            case "block":
                return self._block()
            case "filter":
                return self._filter()
            case "flush":
                self.expect("tag_end")
                return nodes.Text("")
        raise self.source.error(f"There is no tag `{token.value}`", token.at)

    def _inside(self, *stops: str) -> nodes.Body:
        self.expect("tag_end")
        return self.body(stops)

    def _end(self, name: str) -> None:
        self.expect("name", name)
        self.expect("tag_end")

    def _if(self, line: int) -> nodes.Node:
        branches = [(self.expression(), self._inside("elseif", "else", "endif"))]
        otherwise: nodes.Body = ()
        while self.take("name", "elseif"):
            branches.append((self.expression(), self._inside("elseif", "else", "endif")))
        if self.take("name", "else"):
            otherwise = self._inside("endif")
        self._end("endif")
        return nodes.If(tuple(branches), otherwise, line)

    def _for(self, line: int) -> nodes.Node:
        variable = self.new_name()
        self.expect("name", "in")
        items = self.expression()
        body = self._inside("else", "endfor")
        otherwise: nodes.Body = ()
        if self.take("name", "else"):
            otherwise = self._inside("endfor")
        self._end("endfor")
        return nodes.For(variable, items, body, otherwise, line)

    def _set(self) -> nodes.Node:
        name = self.new_name()
        self.expect("punct", "=")
        value = self.expression()
        self.expect("tag_end")
        return nodes.Set(name, value)

    def _macro(self) -> nodes.Node:
        name = self.new_name()
        self.expect("punct", "(")
        parameters: list[tuple[str, nodes.Expression | None]] = []
        while not self.at("punct", ")"):
            if parameters:
                self.expect("punct", ",")
            parameter = self.new_name()
            parameters.append((parameter, self.expression() if self.take("punct", "=") else None))
        self.next()
        body = self._inside("endmacro")
        self._end("endmacro")
        return nodes.Macro(name, tuple(parameters), body)

    def _block(self) -> nodes.Node:
        token = self.next()
        if token.kind not in ("name", "str"):
            raise self.source.error("A block needs a name", token.at)
        body = self._inside("endblock")
        self.expect("name", "endblock")
        self.take("name")
        self.expect("tag_end")
        return nodes.Block(token.value, body)

    def _filter(self) -> nodes.Node:
        filters: list[tuple[str, nodes.Arguments, int, int]] = []
        while not filters or self.take("op", "|"):
            token = self.expect("name")
            line, column = self.source.line(token.at), self.source.column(token.at)
            filters.append((token.value, self.optional_arguments(), line, column))
        body = self._inside("endfilter")
        self._end("endfilter")
        return nodes.FilterTag(tuple(filters), body)
