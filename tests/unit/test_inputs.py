"""What each type of input accepts and gives, and how defaults, conditions and dots are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from engine.errors import InputInvalid
from engine.model.inputs import read_inputs, secrets_of
from tests.support.flow_files import HEAD, TASK, flow


def render(template: Any, variables: Mapping[str, Any]) -> Any:
    """As much of expressions as these tests need: `$a.b` looks a value up."""
    if not isinstance(template, str) or not template.startswith("$"):
        return template
    place: Any = variables["inputs"]
    for part in template[1:].split("."):
        place = place.get(part) if isinstance(place, Mapping) else None
    return place


def read(declared: str, **given: Any) -> dict[str, Any]:
    lines = "".join(f"  - {line}\n" for line in declared.splitlines())
    return read_inputs(flow(HEAD + "inputs:\n" + lines + TASK).inputs, given, render)


ACCEPTED = [
    ("STRING", "a", "a"),
    ("STRING", 4.5, "4.5"),
    ("STRING, validator: 'A[0-9]+'", "A12", "A12"),
    ("INT", "42", 42),
    ("INT", -1, -1),
    ("INT, min: 1, max: 3", 3, 3),
    ("FLOAT", "3.14", 3.14),
    ("FLOAT", 3, 3.0),
    ("BOOL", "Yes", True),
    ("BOOL", "off", False),
    ("BOOLEAN", True, True),
    ("DATETIME", "2042-04-02T04:20:42.00Z", "2042-04-02T04:20:42Z"),
    ("DATETIME", "2042-04-02T04:20:42+02:00", "2042-04-02T02:20:42Z"),
    ("DATE", "2042-04-02", "2042-04-02"),
    ("TIME", "04:20", "04:20"),
    ("DURATION", "PT5M6S", "PT5M6S"),
    ("DURATION, min: PT1M, max: P1D", "P1D", "P1D"),
    ("FILE, allowedFileExtensions: [.csv]", "headwater:///n/A.CSV", "headwater:///n/A.CSV"),
    ("JSON", '{"a": [1]}', {"a": [1]}),
    ("JSON", {"a": 1}, {"a": 1}),
    ("YAML", "a: [1, b]", {"a": [1, "b"]}),
    ("URI", "https://a.b/c?d=e", "https://a.b/c?d=e"),
    ("EMAIL", "a@b.org", "a@b.org"),
    ("SECRET", "hush", "hush"),
    ("SELECT, values: [a, 2]", 2, "2"),
    ("SELECT, values: [{label: A, value: a}]", "a", "a"),
    ("SELECT, values: [a], allowCustomValue: true", "z", "z"),
    ("ENUM, values: [a]", "a", "a"),
    ("MULTISELECT, values: [a, b]", '["b", "a"]', ["b", "a"]),
    ("MULTISELECT, options: [1, 2], itemType: INT", [1], [1]),
    ("ARRAY, itemType: INT", '[1, "2"]', [1, 2]),
    ("ARRAY, itemType: JSON", ['{"a": 1}'], [{"a": 1}]),
]

REFUSED = [
    ("STRING, validator: 'A[0-9]+'", "foo", "it must match the pattern `A[0-9]+`, but got `foo`"),
    ("SECRET, validator: 'A[0-9]+'", "foo", "it must match the pattern `A[0-9]+`"),
    ("INT", "4.2", "a whole number is expected, but got `4.2`"),
    ("INT", True, "a whole number is expected, but got `True`"),
    ("INT, min: 10", 9, "it must be at least `10`, but got `9`"),
    ("FLOAT, max: 1", 1.5, "it must be at most `1.0`, but got `1.5`"),
    ("FLOAT", "nan", "a number is expected, but got `nan`"),
    ("BOOL", "maybe", "true or false is expected, but got `maybe`"),
    (
        "DATETIME",
        "2042-04-02T04:20:42",
        "a date and time with a zone such as `2042-04-02T04:20:42Z` is expected, but got `2042-04-02T04:20:42`",
    ),
    ("DATE", "2042-4-2", "a date such as `2042-04-02` is expected, but got `2042-4-2`"),
    ("DATE, before: '2020-01-01'", "2020-01-02", "it must be before `2020-01-01`, but got `2020-01-02`"),
    ("DATE, after: '2020-01-01'", "2019-01-02", "it must be after `2020-01-01`, but got `2019-01-02`"),
    ("TIME", "4 o'clock", "a time such as `04:20:42` is expected, but got `4 o'clock`"),
    ("DURATION", "5m", "a duration such as `PT5M` is expected, but got `5m`"),
    ("DURATION, max: PT1M", "PT2M", "it must be at most `PT1M`, but got `PT2M`"),
    (
        "FILE, allowedFileExtensions: [.csv]",
        "headwater:///n/a.txt",
        "a file that ends in .csv is expected, but got `a.txt`",
    ),
    ("JSON", "{", "JSON is expected, but got `{`"),
    ("YAML", "a: &b [*b]", "YAML without anchors and tags is expected, but got `a: &b [*b]`"),
    ("URI", "a/b", "a URI with a scheme is expected, but got `a/b`"),
    ("EMAIL", "a@b", "an e-mail address is expected, but got `a@b`"),
    ("SELECT, values: [a, b]", "c", "it must be one of `a`, `b`, but got `c`"),
    ("MULTISELECT, values: [a]", ["b"], "it must be one of `a`, but got `b`"),
    ("ARRAY, itemType: INT", "[x", "a JSON list is expected, but got `[x`"),
    ("ARRAY, itemType: INT", {"a": 1}, "a list is expected, but got `{'a': 1}`"),
]


@pytest.mark.parametrize(("type_", "given", "expected"), ACCEPTED)
def test_accepted(type_: str, given: Any, expected: Any) -> None:
    found = read(f"{{id: i, type: {type_}}}", i=given)["i"]
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(("type_", "given", "message"), REFUSED)
def test_refused(type_: str, given: Any, message: str) -> None:
    with pytest.raises(InputInvalid) as caught:
        read(f"{{id: i, type: {type_}}}", i=given)
    assert str(caught.value) == f"input `i`: {message}"


def test_all_problems_at_once() -> None:
    with pytest.raises(InputInvalid) as caught:
        read("{id: a, type: INT}\n{id: b, type: BOOL}\n{id: c, type: STRING}", a="x", c="fine")
    assert str(caught.value).splitlines() == [
        "input `a`: a whole number is expected, but got `x`",
        "input `b`: a value is required; give one, or declare `defaults` or `required: false`",
    ]


def test_defaults_are_rendered_and_converted_and_may_be_false() -> None:
    declared = "{id: a, type: INT, defaults: '4'}\n{id: b, type: INT, defaults: $a}"
    declared += "\n{id: c, type: BOOL, defaults: false}"
    assert read(declared) == {"a": 4, "b": 4, "c": False}


def test_optional_inputs_are_absent_and_undeclared_ones_ignored() -> None:
    assert read("{id: a, type: INT, required: false}", other=1) == {}


def test_dots_nest_and_may_be_given_either_way() -> None:
    declared = "{id: a.b, type: INT}\n{id: a.c.d, type: INT}"
    assert read(declared, **{"a.b": 1, "a": {"c": {"d": 2}}}) == {"a": {"b": 1, "c": {"d": 2}}}


def test_a_condition_switches_an_input_off() -> None:
    declared = "{id: b, type: INT, dependsOn: {inputs: [a], condition: $a}}\n{id: a, type: BOOL}"
    assert read(declared, a=False, b="no number") == {"a": False}
    assert read(declared, a=True, b=1) == {"a": True, "b": 1}


def test_values_may_come_from_an_expression() -> None:
    declared = "{id: all, type: ARRAY, itemType: STRING}"
    declared += "\n{id: one, type: SELECT, expression: $all, autoSelectFirst: true}"
    assert read(declared, all=["x", "y"]) == {"all": ["x", "y"], "one": "x"}
    with pytest.raises(InputInvalid, match="it must be one of `x`"):
        read(declared, all=["x"], one="z")


def test_a_form_only_groups() -> None:
    declared = "{type: FORM, inputs: [{id: a, type: INT}, {id: b, type: INT, defaults: 2}]}"
    assert read(declared, a=1) == {"a": 1, "b": 2}


def test_secrets_are_named_for_the_mask() -> None:
    inputs = flow(HEAD + "inputs:\n  - {id: a.s, type: SECRET}\n  - {id: b, type: STRING}\n" + TASK).inputs
    assert secrets_of(inputs, {"a": {"s": "hush"}, "b": "loud"}) == ("hush",)
