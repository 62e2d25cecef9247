"""What goes wrong is told with its place; what is hostile ends in an error, soon."""

from __future__ import annotations

from typing import Any

import pytest

from engine import expressions
from engine.errors import ExpressionError
from engine.expressions import Scope

SEEN: dict[str, Any] = {"m": {"a": None}, "l": [1, 2], "s": "text", "n": 5, "x": None}


def render(template: str) -> str:
    return expressions.compile(template).render(Scope(SEEN))


def fails(template: str) -> str:
    with pytest.raises(ExpressionError) as caught:
        render(template)
    return caught.value.message


def test_an_undefined_variable_is_told_in_the_dialects_words() -> None:
    told = "Unable to find `inputs` used in the expression `{{inputs.invalid}}` at line 1"
    assert fails("{{inputs.invalid}}") == told


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("one\n{{ nope }}", "Unable to find `nope` used in the expression `one\n{{ nope }}` at line 2"),
        ("{{ m.b.c }}", "Unable to find `b`"),
        ("{{ x.y }}", "Unable to find `x`"),
        ("{{ l[-1] }}", "Unable to find `-1`"),
        ("{{ a ?? b }}", "Unable to find `b`"),
        ("{{ s | nofilter }}", "There is no filter `nofilter`. ({{ s | nofilter }}:1:8)"),
        ("{{ s is strange }}", "There is no test `strange`"),
        ("{{ nofunction() }}", "There is no function or macro `nofunction`"),
        ("{{ n | upper }}", "`upper` needs a string, but got a number. ({{ n | upper }}:1:8)"),
        ("{{ s | upper(1) }}", "takes at most 0"),
        ("{{ s | date(forma='x') }}", "The filter `date` has no argument `forma`"),
        ("{{ s | indent }}", "needs the argument `amount`"),
        ("{{ 'a' * 2 }}", "`*` needs two numbers, but got a string and a number"),
        ("{{ 1 / 0 }}", "Division by zero"),
        ("{{ s > 1 }}", "cannot compare a string with a number"),
        ("{% if x %}{% endif %}", "`if` needs a boolean"),
        ("{{ l and true }}", "`and` needs a boolean"),
        ("{% for c in s %}{% endfor %}", "`for` needs a list or a map, but got a string"),
        ("{{ render('{{ gone }}') }}", "Unable to find `gone` used in the expression `{{ gone }}` at line 1"),
        ("{{ fromJson('{') }}", "Invalid json"),
    ],
)
def test_rendering_errors_name_the_cause(template: str, message: str) -> None:
    assert message in fails(template)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("a\n  {{ 1 + }}", "Unexpected end of the tag. (a\n  {{ 1 + }}:2:10)"),
        ("{{ a b }}", "Expected `}}`, found `b`. ({{ a b }}:1:6)"),
        ("{{ a", "Missing `}}`"),
        ("{{ 'a }}", "Unclosed string. ({{ 'a }}:1:4)"),
        ('{{ "a#{b }}', "Unclosed string"),
        ("{{ (1 }}", "Expected `)`"),
        ("{{ [1) }}", "Expected `]`, found `)`"),
        ("{{ ) }}", "Unexpected `)`"),
        ("{{ a ; b }}", "Unexpected `;`"),
        ("{# a", "Unclosed comment"),
        ("{% raw %}a", "`raw` without its `endraw`"),
        ("{% if true %}a", "Missing `{% endif %}`"),
        ("{% endif %}", "There is no tag `endif`"),
        ("{% include 'a' %}", "The tag `include` is not available"),
        ("{% for a b %}{% endfor %}", "Expected `in`, found `b`"),
        ("{% set true = 1 %}", "`true` cannot be given a value"),
        ("{{ f(a=1, 2) }}", "positional argument after a named one"),
        ("{{ 9223372036854775808 }}", "64 bits"),
        ("{{ l.append(1) }}", "`append` is a method"),
        ("{{ l[0](1) }}", "Only functions and macros can be called"),
    ],
)
def test_parse_errors_have_line_and_column(template: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        expressions.compile(template)
    assert message in caught.value.message


@pytest.mark.parametrize(
    "template",
    [
        "{{ s.__class__ }}",
        "{{ s['__class__'] }}",
        "{{ m.__class__.__mro__ }}",
        "{{ l.__len__ }}",
        "{{ m.items }}",
        "{{ m.get }}",
        "{{ n.real }}",
        "{{ ''.format }}",
        "{{ loop.__init__ }}",
        "{{ (l | first).denominator }}",
        "{{ __builtins__ }}",
        "{{ frame }}",
    ],
)
def test_no_attribute_of_an_object_is_reachable(template: str) -> None:
    assert fails(template).startswith("Unable to find `")


@pytest.mark.parametrize(
    "template", ["{{ ''.format() }}", "{{ m.keys() }}", "{{ __import__('os') }}", "{{ eval('1') }}"]
)
def test_nothing_of_python_can_be_called(template: str) -> None:
    fails(template)


def test_a_foreign_object_has_no_text() -> None:
    with pytest.raises(ExpressionError, match="cannot be shown"):
        expressions.compile("{{ thing }}").render(Scope({"thing": object()}))


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ '" + "a" * 1_000_001 + "' }}", "too long"),
        ("{{ " + "(" * 500 + "1" + ")" * 500 + " }}", "inside each other"),
        ("{{ " + "-" * 500 + "1 }}", "Too deeply nested"),
        ("{{ " + " ~ ".join(["'a'"] * 400) + " }}", "too complex"),
        ("{% if true %}" * 500 + "{% endif %}" * 500, "Too deeply nested"),
        ('{{ "' + '#{"' * 400, ""),
        ("{{ range(1, 99999999999) }}", "items"),
        ("{{ 0..9999999 }}", "items"),
        ("{% for i in 1..1000 %}{% for j in 1..1000 %}{% endfor %}{% endfor %}", "Loops turned"),
        ("{% set a = 'aaaaaaaaaa' %}{% for i in 1..90 %}{% set a = a ~ a %}{% endfor %}", "characters"),
        ("{% set a = [1] %}{% for i in 1..90 %}{% set a = a + a %}{% endfor %}", "items"),
        ("{% for i in 1..150000 %}" + "a" * 200 + "{% endfor %}", "characters"),
        ("{{ 'a\nb' | indent(999999999) }}", "characters"),
        ("{% set a %}{% endset %}", "Expected `=`"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "levels deep"),
        ("{% block b %}{{ block('b') }}{% endblock %}", "levels deep"),
        ("{{ nanoId(1000000) }}", "length"),
        ("{{ 'a' | regexMatch('" + "a" * 3000 + "') }}", "longer than"),
        ("{{ 1 | numberFormat('" + "0" * 600 + "') }}", "longer than"),
        ("{{ '2024-01-01' | date('" + "y" * 600 + "') }}", "longer than"),
        ("{{ yaml('" + "[" * 2000 + "') }}", "yaml"),
        ("{{ fromJson('" + "[" * 100000 + "') }}", "Invalid json"),
    ],
)
def test_bounds(template: str, message: str) -> None:
    assert message in fails(template)


def test_a_template_that_renders_itself_ends() -> None:
    with pytest.raises(ExpressionError, match="levels deep"):
        expressions.compile("{{ render(t) }}").render(Scope({"t": "{{ render(t) }}"}))
    with pytest.raises(ExpressionError, match=r"100 passes|characters"):
        expressions.compile("{{ render(t) }}").render(Scope({"t": "{{ t }}x"}))


def test_a_regular_expression_without_end_is_stopped() -> None:
    evil = "{{ '" + "a" * 40 + "!' | regexMatch('^(a|aa|a*)*$') }}"
    assert "took longer than" in fails(evil)


def test_lines_of_yaml_cannot_fill_the_memory() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} [{', '.join(['*' + before] * 9)}]")
    with pytest.raises(ExpressionError, match=r"characters|items"):
        expressions.compile("{{ yaml(t) | join }}").render(Scope({"t": "- " + "\n  ".join(lines)}))


def test_yaml_that_holds_itself_is_refused() -> None:
    assert "items" in fails("{{ yaml('a: &a [1, *a]') }}")
