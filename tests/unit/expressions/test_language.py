"""The language itself: literals, operators, access, tags, whitespace; and what comes out typed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from engine import expressions
from engine.errors import ExpressionError, UnavailableError
from engine.expressions import Scope, render_deep, truthy

PLACE: dict[str, Any] = {
    "city": {"name": "Oslo", "zip-code": "0150", "gone": None},
    "odd": [3, 1, 2],
    "nothing": None,
    "zero": 0,
    "word": "kite",
    "half": 2.5,
}


def render(template: str, variables: Mapping[str, Any] = PLACE, **functions: Any) -> str:
    return expressions.compile(template).render(Scope(variables, functions))


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("no braces", "no braces"),
        ("a { b } c", "a { b } c"),
        ("{{ city.name }}, {{ city['zip-code'] }}", "Oslo, 0150"),
        ("{{ odd[0] }}{{ odd['2'] }}{{ odd.1 }}", "321"),
        ("{{ 'don\\'t' }} {{ \"#{1 + 1} of #{word}\" }}", "don't 2 of kite"),
        ("{{ 'line\\nbreak' }}", "line\\nbreak"),
        ("{{ 12L + 1 }} {{ 3.50 }} {{ NULL }}{{ TRUE }}", "13 3.5 true"),
        ("{{ 1.0 * 10000000 }} {{ 1.0 / 4096 }}", "1.0E7 2.44140625E-4"),
        ("{{ [1, [true, null]] }} {{ {'k': 'v', 'n': null} }}", '[1,[true,null]] {"k":"v"}'),
        ('{{ {\'é\': "\\""} }}', '{"é":"\\""}'),
    ],
)
def test_values_come_out_in_the_dialects_notation(template: str, text: str) -> None:
    assert render(template) == text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ 2 + 3 * 4 - 1 }}", "13"),
        ("{{ -7 / 2 }} {{ -7 % 3 }} {{ 7 / 2.0 }}", "-3 -1 3.5"),
        ("{{ 9223372036854775807 + 1 }}", "-9223372036854775808"),
        ("{{ 1.0 / 0 }}", "Infinity"),
        ("{{ 'n=' + 1 + true }} {{ 'x' ~ odd }} {{ 'x' ~ city.gone }}", "n=1true x[3, 1, 2] x"),
        ("{{ odd + 9 }} {{ odd + [8, 9] }} {{ odd - 1 }}", "[3,1,2,9] [3,1,2,8,9] [3,2]"),
        ("{{ word ~ '!' | upper }}", "KITE!"),
        ("{{ -5 | abs }}", "5"),
        ("{{ 1 == 1.0 and 'a' != 'A' and not (1 > 2) }}", "true"),
        ("{{ 'b' > 'a' }} {{ nothing > 1 }}", "true false"),
        ("{{ 1 equals 1 ? 'y' : 'n' }}", "y"),
        ("{{ zero ? 'y' : nothing ? 'y' : 'n' }}", "n"),
        ("{{ odd contains [1, 2] }} {{ city contains 'name' }} {{ word contains 'it' }}", "true true true"),
        ("{{ '1' isIn odd }} {{ 7 isNotIn odd }}", "true true"),
        (
            "{{ 3 is odd and 4 is even }} {{ city is map }} {{ odd is iterable }} {{ '[1' is json }}",
            "true true true false",
        ),
        (
            "{{ nothing is defined }} {{ nope.x is defined }} {{ nothing is null }} {{ ' ' is empty }}",
            "false false true true",
        ),
        ("{{ 3..1 }} {{ 'a'..'c' }} {{ range(6, 0, -3) }}", '[] ["a","b","c"] [6,3,0]'),
    ],
)
def test_operators(template: str, text: str) -> None:
    assert render(template) == text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ nope ?? 'd' }} {{ city.nope.deep ?? 'd' }} {{ odd[9] ?? 'd' }} {{ nothing ?? 'd' }}", "d d d d"),
        ("{{ zero ?? 'd' }} {{ nope ?? nope2 ?? 'e' }}", "0 e"),
        ("[{{ nothing ??? 'd' }}][{{ nope ??? 'd' }}]", "[][d]"),
        ("{{ nope ?? 1 + 1 }}", "2"),
        ("{{ nope | default('d') | upper }} {{ '  ' | default('e') }} {{ zero | default('f') }}", "D e 0"),
    ],
)
def test_fallbacks(template: str, text: str) -> None:
    assert render(template) == text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{% if zero %}a{% elseif word %}b{% else %}c{% endif %}", "b"),
        (
            "{% for n in odd %}{{ loop.index }}/{{ loop.length }}{{ loop.last ? '' : ',' }}{% endfor %}",
            "0/3,1/3,2/3",
        ),
        ("{% for e in {'a': 1} %}{{ e.key }}{{ e.value }} {{ e }}{% endfor %}", "a1 a=1"),
        (
            "{% for x in [] %}{% else %}none{% endfor %}{% for x in nothing %}{% else %}none{% endfor %}",
            "none",
        ),
        ("{% for i in 1..2 %}{% for j in 1..2 %}{{ i }}{{ j }} {% endfor %}{% endfor %}", "11 12 21 22 "),
        ("{% set n = 0 %}{% for x in odd %}{% set n = n + x %}{% endfor %}{{ n }}", "0"),
        ("{% for x in odd %}{% set sum = (sum ?? 0) + x %}{{ sum }} {% endfor %}", "3 4 6 "),
        (
            "{% macro greet(who, mark='!') %}Hi {{ who }}{{ mark }}{% endmacro %}{{ greet(mark='?', who='Bo') }}",
            "Hi Bo?",
        ),
        ("{{ later(2) }}{% macro later(n) %}{{ n * 2 }}{% endmacro %}", "4"),
        ("{% block b %}x{% endblock %}{{ block('b') }}", "xx"),
        ("{% filter upper | replace({'A': 'o'}) %}bar{% endfilter %}", "BoR"),
        ("{% raw %}{{ x }}{% endraw %}{{ 1 }}{%- verbatim -%} {% y %} {%- endverbatim %}", "{{ x }}1{% y %}"),
        ("a {#- gone -#} b", "ab"),
        ("a  {{- 1 -}}  b {%- if true -%} c {%- endif %}", "a1bc"),
        ("{{-1}}", "-1"),
    ],
)
def test_tags_and_whitespace(template: str, text: str) -> None:
    assert render(template) == text


def test_a_macro_sees_only_its_own_arguments() -> None:
    with pytest.raises(ExpressionError, match="Unable to find `word`"):
        render("{% macro m() %}{{ word }}{% endmacro %}{{ m() }}")


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ zero }}", 0),
        ("{{ half }}", 2.5),
        ("{{ odd | sort }}", [1, 2, 3]),
        ("{{ city }}", PLACE["city"]),
        ("{{ nothing }}", None),
        ("{{ '7' | number('LONG') }}", 7),
        ("{{ ['1.1' | number] }}", [1.1]),
        (" {{ zero }}", " 0"),
        ("{% if true %}1{% endif %}", "1"),
        ("{{ '[1]' }}", "[1]"),
    ],
)
def test_a_template_of_one_expression_keeps_its_type(template: str, value: Any) -> None:
    result = expressions.compile(template).value(Scope(PLACE))
    assert result == value
    assert type(result) is type(value)


def test_deep_rendering_keeps_types_and_renders_keys() -> None:
    data = {"n-{{ word }}": ["{{ odd }}", {"inner": "{{ zero }}!"}, 5, None, True]}
    assert render_deep(data, Scope(PLACE)) == {"n-kite": [[3, 1, 2], {"inner": "0!"}, 5, None, True]}


@pytest.mark.parametrize("value", [None, False, 0, "", "  ", "0", "-0", "false", " false "])
def test_what_is_false(value: Any) -> None:
    assert truthy(value) is False


@pytest.mark.parametrize("value", [True, 1, "False", "no", "0.0", "[]", [], {}, "x"])
def test_all_else_is_true(value: Any) -> None:
    assert truthy(value) is True


def test_constant_templates_and_statically_known_calls() -> None:
    assert expressions.compile("plain {text}").constant
    template = expressions.compile(
        "{% macro own() %}{{ kv('a') }}{% endmacro %}{{ own() }}{{ secret(read('b')) }}"
    )
    assert not template.constant
    assert template.calls == {"kv", "secret", "read"}


class Watched(Mapping[str, Any]):
    """A lazy map that notes what is looked up and refuses to be copied."""

    def __init__(self, inner: dict[str, Any]) -> None:
        self.inner = inner
        self.asked: list[str] = []

    def __getitem__(self, key: str) -> Any:
        self.asked.append(key)
        return self.inner[key]

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("the map was gone through")

    def __len__(self) -> int:
        raise AssertionError("the map was counted")


def test_lazy_maps_are_asked_only_for_what_is_used() -> None:
    outputs = Watched({"a": Watched({"value": "v"})})
    top = Watched({"outputs": outputs})
    assert render("{{ outputs.a.value | upper }}{{ outputs.b.value ?? '-' }}", top) == "V-"
    assert top.asked == ["outputs", "outputs"]
    assert outputs.asked == ["a", "b"]


def test_what_a_variable_holds_is_not_rendered_by_itself() -> None:
    variables = {"one": "{{ two }}", "two": "{{ three }}", "three": "end", "list": ["{{ three }}", 1]}
    assert render("{{ one }}", variables) == "{{ two }}"
    assert render("{{ renderOnce(one) }}", variables) == "{{ three }}"
    assert render("{{ render(one) }}", variables) == "end"
    assert render("{{ render(one, recursive=false) }}", variables) == "{{ three }}"
    assert render("{{ render(list) }}", variables) == '["end",1]'


def test_rendering_again_leaves_raw_parts_alone() -> None:
    assert render("{{ render(t) }}", {"t": "{% raw %}{{ x }}{% endraw %}"}) == "{{ x }}"


def test_host_functions_get_positional_and_named_arguments() -> None:
    def kv(key: str, namespace: str = "own") -> dict[str, str]:
        return {"at": f"{namespace}/{key}"}

    assert render("{{ kv('k').at }} {{ kv(namespace='n', key='k').at }}", {}, kv=kv) == "own/k n/k"


def test_host_functions_replace_built_in_ones() -> None:
    assert render("{{ uuid() }}", {}, uuid=lambda: "fixed") == "fixed"


def test_a_missing_host_function_is_said_clearly() -> None:
    with pytest.raises(ExpressionError, match="function `secret` is not available here"):
        render("{{ secret('KEY') }}")


def test_what_the_host_refuses_falls_back_but_an_outage_does_not() -> None:
    def refuse(key: str) -> str:
        raise ExpressionError(f"There is no key '{key}'.")

    def fail(path: str) -> str:
        raise UnavailableError("the storage does not answer")

    assert render("{{ kv('k').field ?? 'none' }}", {}, kv=refuse) == "none"
    with pytest.raises(ExpressionError, match=r"There is no key 'k'\. \(\{\{ kv\('k'\) \}\}:1:4\)"):
        render("{{ kv('k') }}", {}, kv=refuse)
    with pytest.raises(UnavailableError):
        render("{{ read('f') ?? 'none' }}", {}, read=fail)
