"""Template text to tokens: where text ends and code begins, and the words of the code. Knows no grammar.

Delimiters are `{{ }}`, `{% %}`, `{# #}`; a dash inside a delimiter trims the text beside it (dialect, section 5.1).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Final, Literal, NamedTuple, TypeAlias

from engine.errors import ExpressionError
from engine.expressions import limits
from engine.expressions.failures import told

Kind: TypeAlias = Literal[
    "text",
    "raw",
    "print",
    "print_end",
    "tag",
    "tag_end",
    "name",
    "op",
    "punct",
    "int",
    "float",
    "str",
    "join",
    "end",
]

_OPEN: Final = re.compile(r"\{[{%#]")
_RAW_OPEN: Final = re.compile(r"-?\s*(raw|verbatim)\s*(-?)%\}")
_RAW_CLOSE: Final = {
    "raw": re.compile(r"\{%(-?)\s*endraw\s*(-?)%\}"),
    "verbatim": re.compile(r"\{%(-?)\s*endverbatim\s*(-?)%\}"),
}
_TOKEN: Final = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<op>\?\?\?|\?\?|==|!=|>=|<=|\.\.|[-+*/%|~<>]
        | is\s+not(?![A-Za-z0-9_]) | (?:isNotIn|isIn|is|and|or|not|contains|equals)(?![A-Za-z0-9_]))
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<float>[0-9]+\.[0-9]+)
    | (?P<int>[0-9]+[lL]?)
    | (?P<punct>[()\[\]{}?:.,=])
    | (?P<str>'[^'\\]*(?:\\.[^'\\]*)*'|"[^#"\\]*(?:(?:\\.|\#(?!\{))[^#"\\]*)*")
    """,
    re.VERBOSE | re.DOTALL,
)
_PART: Final = re.compile(r'[^#"\\]*(?:(?:\\.|#(?!\{))[^#"\\]*)*', re.DOTALL)
_CLOSERS: Final = {"(": ")", "[": "]", "{": "}"}


class Token(NamedTuple):
    """One token. `value` is its text, unquoted for strings; `at` is its offset in the template.

    A `join` token is a double-quoted string with `#{…}` in it: `parts` holds its pieces, each a string or tokens.
    """

    kind: Kind
    value: str
    at: int
    parts: tuple[str | tuple[Token, ...], ...] = ()


class Source:
    """A template's text, and places in it as people count them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def line(self, at: int) -> int:
        """The line of an offset, from 1."""
        return bisect_right(self._starts, at)

    def column(self, at: int) -> int:
        """The column of an offset, from 1."""
        return at - self._starts[self.line(at) - 1] + 1

    def error(self, message: str, at: int) -> ExpressionError:
        """An error at an offset."""
        return told(message, self.text, self.line(at), self.column(at))


def is_constant(text: str) -> bool:
    """Whether a text has no delimiter at all, so that it renders to itself."""
    return "{" not in text or _OPEN.search(text) is None


def tokenize(source: Source) -> list[Token]:
    """All tokens of a template, ended by one of kind `end`. Raises ExpressionError."""
    return _Lexer(source).run()


class _Lexer:
    def __init__(self, source: Source) -> None:
        if len(source.text) > limits.TEMPLATE_CHARS:
            raise ExpressionError(
                f"A template of {len(source.text)} characters is too long",
                hint="read large texts from a file",
            )
        self.source = source
        self.text = source.text
        self.tokens: list[Token] = []
        self.trim = False

    def run(self) -> list[Token]:
        at, size = 0, len(self.text)
        while at < size:
            opening = _OPEN.search(self.text, at)
            end = opening.start() if opening else size
            after = end + 2
            before = self._trims_before(opening.group(), after) if opening else False
            self._text(at, end, before)
            if opening is None:
                break
            at = self._code(opening.group(), after + before)
        self.tokens.append(Token("end", "", size))
        return self.tokens

    def _trims_before(self, opening: str, after: int) -> bool:
        # `{{-5}}` is a negative number: a print needs a blank after its trimming dash
        following = self.text[after : after + 2]
        return following.startswith("-") and (opening != "{{" or following[1:].isspace())

    def _text(self, start: int, end: int, trim_end: bool) -> None:
        text = self.text[start:end]
        if self.trim:
            text = text.lstrip()
        if trim_end:
            text = text.rstrip()
        self.trim = False
        if text:
            self.tokens.append(Token("text", text, start))

    def _code(self, opening: str, at: int) -> int:
        if opening == "{#":
            end = self.text.find("#}", at)
            if end < 0:
                raise self.source.error("Unclosed comment", at - 2)
            self.trim = self.text[end - 1] == "-" and end > at
            return end + 2
        if opening == "{{":
            return self._delimited("print", "print_end", "}}", at)
        raw = _RAW_OPEN.match(self.text, at) or _RAW_OPEN.match(self.text, _skip(self.text, at))
        if raw:
            return self._raw(raw, at)
        return self._delimited("tag", "tag_end", "%}", at)

    def _raw(self, raw: re.Match[str], at: int) -> int:
        close = _RAW_CLOSE[raw.group(1)].search(self.text, raw.end())
        if close is None:
            raise self.source.error(f"`{raw.group(1)}` without its `end{raw.group(1)}`", at)
        inside = self.text[raw.end() : close.start()]
        if raw.group(2):
            inside = inside.lstrip()
        if close.group(1):
            inside = inside.rstrip()
        self.tokens.append(Token("raw", inside, at))
        self.trim = bool(close.group(2))
        return close.end()

    def _delimited(self, start: Kind, end: Kind, closer: str, at: int) -> int:
        self.tokens.append(Token(start, "", at))
        tokens, stop = self._expression(at, closer)
        self.tokens += tokens
        self.trim = self.text[stop] == "-"
        self.tokens.append(Token(end, "", stop))
        return stop + self.trim + 2

    def _expression(self, at: int, closer: str) -> tuple[list[Token], int]:
        """Tokens up to `closer` (perhaps after a trimming dash); the offset where that begins."""
        text, tokens, brackets = self.text, [], []  # type: ignore[var-annotated]
        start = at
        while True:
            at = _skip(text, at)
            if not brackets and (text.startswith(closer, at) or text.startswith("-" + closer, at)):
                return tokens, at
            if at >= len(text):
                raise self.source.error(f"Missing `{closer}`", start)
            match = _TOKEN.match(text, at)
            if match is None:
                if text[at] == "'":
                    raise self.source.error("Unclosed string", at)
                if text[at] != '"':
                    raise self.source.error(f"Unexpected `{text[at]}`", at)
                token, at = self._joined(at)
                tokens.append(token)
                continue
            self._bracket(match, brackets, at)
            tokens.append(_token(match, at))
            at = match.end()

    def _bracket(self, match: re.Match[str], brackets: list[str], at: int) -> None:
        value = match.group("punct")
        if value is None:
            return
        if value in _CLOSERS:
            brackets.append(_CLOSERS[value])
            if len(brackets) > limits.NESTING:
                raise self.source.error("Too many brackets inside each other", at)
        elif value in ")]}":
            if not brackets:
                raise self.source.error(f"Unexpected `{value}`", at)
            expected = brackets.pop()
            if value != expected:
                raise self.source.error(f"Expected `{expected}`, found `{value}`", at)

    def _joined(self, at: int) -> tuple[Token, int]:
        """A double-quoted string with interpolations, from its opening quote."""
        parts: list[str | tuple[Token, ...]] = []
        here = at + 1
        while True:
            plain = _PART.match(self.text, here)
            here = plain.end() if plain else here
            if plain and plain.group():
                parts.append(plain.group().replace('\\"', '"'))
            if self.text.startswith('"', here):
                return Token("join", "", at, tuple(parts)), here + 1
            if not self.text.startswith("#{", here) or len(parts) > limits.NESTING:
                raise self.source.error("Unclosed string", at)
            tokens, here = self._expression(here + 2, "}")
            if self.text[here] == "-":
                raise self.source.error("Unexpected `-`", here)
            parts.append((*tokens, Token("end", "", here)))
            here += 1


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _token(match: re.Match[str], at: int) -> Token:
    kind, value = match.lastgroup, match.group()
    if kind == "str":
        quote = value[0]
        return Token("str", value[1:-1].replace("\\" + quote, quote), at)
    if kind == "op":
        return Token("op", "is not" if value.startswith("is") and value.endswith("not") else value, at)
    return Token(kind, value, at)  # type: ignore[arg-type]
