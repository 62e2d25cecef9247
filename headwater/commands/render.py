"""`headwater render`: evaluate expressions, to try and to debug them. Needs no flow and no settings."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer


def render(
    template: Annotated[str, typer.Argument(metavar="[TEMPLATE]", help="Text with {{ expressions }}.")] = "",
    var: Annotated[
        list[str] | None,
        typer.Option(
            "-v", "--var", metavar="KEY=VALUE", help="A variable; a.b=… nests, JSON is read as such."
        ),
    ] = None,
    typed: Annotated[
        bool, typer.Option("--typed", help="Print the value as JSON instead of its text.")
    ] = False,
    json: Annotated[
        bool,
        typer.Option("--json", help='Answer each line {"template", "vars", "typed"} on stdin by a line.'),
    ] = False,
) -> int:
    """Evaluate a template."""
    if json:
        return _answer_lines()
    if not template:
        raise typer.BadParameter("give a template, or --json", param_hint="TEMPLATE")
    from headwater.commands.run import pairs

    value = _evaluate(template, _nested(pairs(var, "-v")), typed)
    print(_dumped(value) if typed else value)
    return 0


def _answer_lines() -> int:
    from json import loads

    for line in sys.stdin:
        if not line.strip():
            continue
        try:
            wish = loads(line)
            template, variables = wish["template"], wish.get("vars") or {}
            if not isinstance(template, str) or not isinstance(variables, dict):
                raise TypeError
        except (ValueError, KeyError, TypeError, AttributeError):
            answer = {"error": 'a line is an object: {"template": "…", "vars": {…}, "typed": false}'}
        else:
            answer = _answer(template, variables, bool(wish.get("typed")))
        print(_dumped(answer), flush=True)
    return 0


def _answer(template: str, variables: Mapping[str, Any], typed: bool) -> dict[str, Any]:
    from engine.errors import HeadwaterError

    try:
        return {"result": _evaluate(template, variables, typed)}
    except HeadwaterError as error:
        return {"error": str(error)}


def _evaluate(template: str, variables: Mapping[str, Any], typed: bool) -> Any:
    from engine import expressions

    compiled = expressions.compile(template)
    scope = expressions.Scope(variables)
    return compiled.value(scope) if typed else compiled.render(scope)


def _nested(given: Mapping[str, str]) -> dict[str, Any]:
    from json import loads

    variables: dict[str, Any] = {}
    for name, text in given.items():
        *tables, last = name.split(".")
        place = variables
        for table in tables:
            inner = place.setdefault(table, {})
            if not isinstance(inner, dict):
                raise typer.BadParameter(f"`{table}` in `{name}` is a value already", param_hint="-v")
            place = inner
        try:
            place[last] = loads(text)
        except ValueError:
            place[last] = text
    return variables


def _dumped(value: Any) -> str:
    from json import dumps

    from engine.expressions.values import to_text

    return dumps(value, ensure_ascii=False, default=to_text)
