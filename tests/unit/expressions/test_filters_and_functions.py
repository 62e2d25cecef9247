"""Filters and functions by table: template, result."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from engine import expressions
from engine.errors import ExpressionError
from engine.expressions import Scope

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
SEEN: dict[str, Any] = {
    "when": "2023-11-26T03:04:05.678901234Z",
    "rows": [{"id": 1, "tags": ["a", "b"]}, {"id": 2, "tags": []}],
    "map": {"y": 1, "x": None},
    "key": KEY,
}


def render(template: str, **functions: Any) -> str:
    return expressions.compile(template).render(Scope(SEEN, functions))


@pytest.mark.parametrize(
    ("template", "text"),
    [
        (
            "{{ 'ÅNGSTRÖM unit' | lower }} {{ 'ab c' | title }} {{ ' ab' | capitalize }}",
            "ångström unit Ab C  Ab",
        ),
        ("{{ 'abcdefgh' | abbreviate(6) }} {{ 'abc' | abbreviate(9) }}", "abc... abc"),
        ("{{ 'a_B  c é!' | slugify }}", "a-b-c-e"),
        ("{{ 'a.b.c' | substringBeforeLast('.') }} {{ 'a.b.c' | substringAfterLast('.') }}", "a.b c"),
        ("{{ 'abc' | substringBeforeLast('x') }}|{{ 'abc' | substringAfterLast('x') }}|", "abc||"),
        ("{{ 'a\nb' | nindent(2) }}", "\n  a\n  b"),
        ("{{ 'it\\'s' | escapeChar('shell') }}", "it'\\''s"),
        (
            "{{ ['\"a\"', {'k': '\"'}] | escapeChar('double') | toJson }}",
            '["\\\\\\"a\\\\\\"",{"k":"\\\\\\""}]',
        ),
        ("{{ 'a1b22' | regexReplace('([0-9]+)', '<$1>') }}", "a<1>b<22>"),
        ("{{ 'k=v' | regexReplace('(?<k>.)=(.)', '${k}$2\\$') }}", "kv$"),
        ("{{ 'ab-12' | regexExtract('([a-z]+)-([0-9]+)', 2) }}|{{ 'x' | regexExtract('[0-9]') }}", "12|"),
        ("{{ 'a1' | replace({'[0-9]': '#'}, regexp=true) }}", "a#"),
        (
            "{{ 'a,b,,' | split(',') }} {{ 'a,b,,' | split(',', -1) }} {{ 'abc' | split('') }}",
            '["a","b"] ["a","b","",""] ["a","b","c"]',
        ),
        ("{{ 'a b/ü~*' | urlencode }} {{ 'a+b%2F' | urldecode }}", "a+b%2F%C3%BC%7E* a b/"),
        ("{{ 'héllo' | base64encode }} {{ 'aMOpbGxv' | base64decode }}", "aMOpbGxv héllo"),
        (
            "{{ '' | md5 }} {{ '' | sha1 }}",
            "d41d8cd98f00b204e9800998ecf8427e da39a3ee5e6b4b0d3255bfef95601890afd80709",
        ),
    ],
)
def test_text(template: str, text: str) -> None:
    assert render(template) == text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ 1234567.125 | numberFormat('#,##0.00') }} {{ 0.375 | numberFormat('0%') }}", "1,234,567.12 38%"),
        (
            "{{ -5 | numberFormat('0.0;(0.0)') }} {{ 7 | numberFormat('000') }} {{ 0.5 | numberFormat('#') }}",
            "(5.0) 007 0",
        ),
        ("{{ 12345 | numberFormat('0.00E00') }} {{ 2 | numberFormat(\"0 'items'\") }}", "1.23E04 2 items"),
        (
            "{{ '7' | number + 1 }} {{ '0x1F' | number }} {{ '1e3' | number }} {{ '-2.5' | number('DOUBLE') }}",
            "8 31 1000.0 -2.5",
        ),
        ("{{ ('0.1' | number) + ('0.2' | number) }} {{ 0.1 + 0.2 }}", "0.3 0.30000000000000004"),
        (
            "{{ '1.5' | number | className }} {{ 1.5 | className }} {{ 1 | className }}",
            "java.lang.Float java.lang.Double java.lang.Long",
        ),
        ("{{ max(3, 9.5, 1) }} {{ min(3, 9, 1) }} {{ randomInt(4, 5) }}", "9.5 1 4"),
    ],
)
def test_numbers(template: str, text: str) -> None:
    assert render(template) == text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ [3, 1] | sort }} {{ ['b', 'a'] | rsort }} {{ [1, 2] | reverse }}", '[1,3] ["b","a"] [2,1]'),
        ("{{ [1, 2, 3] | slice(1) }} {{ 'abcd' | slice(1, 9) }}", "[2,3] bcd"),
        ("{{ [1, 2, 3] | chunk(2) }} {{ [1, [2, [3]]] | flatten }}", "[[1,2],[3]] [1,2,[3]]"),
        ("{{ [1, true, 1, 1.0, 'a', 'a'] | distinct }}", '[1,true,"a"]'),
        ("{{ map | keys }} {{ map | values }} {{ [5, 6] | keys }}", '["y","x"] [1,null] [0,1]'),
        ("{{ {'a': 1} | merge({'a': 2, 'b': 3}) }} {{ [1] | merge([2]) }}", '{"a":2,"b":3} [1,2]'),
        (
            "{{ [1.0, null, true] | join(';') }} {{ null | length }}{{ 'ab' | length }}{{ map | length }}",
            "1.0;null;true 022",
        ),
        ("{{ [] | first }}|{{ 'ab' | last }}", "|b"),
        (
            "{{ rows | jq('.[] | select(.id > 1) | .id') }} {{ rows | jq('map(.tags | length)') | first }}",
            "[2] [2,0]",
        ),
        ("{{ '{\"a\": [1]}' | jq('.a[]') }}", "[1]"),
    ],
)
def test_collections(template: str, text: str) -> None:
    assert render(template) == text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        (
            "{{ {'a': [1, {'b': 'x: y'}], 'e': [], 'z': null} | yaml }}",
            'a:\n - 1\n -\n  b: "x: y"\ne: []\nz: null\n',
        ),
        ("{{ {'t': 'yes', 'm': 'a\nb\n', 'q': '- x'} | yaml }}", 't: "yes"\nm: |\n  a\n  b\nq: "- x"\n'),
        ("{{ 'plain' | yaml }}{{ 1.5 | yaml }}", "plain\n1.5\n"),
        ("{{ yaml('a: [1, true, ~]\nb: &x {c: d}\ne: *x').e.c }}", "d"),
        ("{{ fromJson('[1, {\"a\": null}]') | last }}", "{}"),
        (
            "{{ fromIon('{a: 1, b: [true, null, 2.5e0]}') }} {{ fromIon('1 2', allRows=true) }}",
            '{"a":1,"b":[true,null,2.5]} [1,2]',
        ),
        ("{{ {'a': 'x', 'n': 1} | toIon }}", '{a:"x",n:1}'),
        (
            "{{ decrypt(key, encrypt(key, 'hush é')) }} {{ encrypt(key, 'a') == encrypt(key, 'a') }}",
            "hush é false",
        ),
    ],
)
def test_notations(template: str, text: str) -> None:
    assert render(template) == text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ when | date }}", "2023-11-26T03:04:05.678901Z"),
        ("{{ when | date('EEE, d MMM yy h:mm a', timeZone='America/New_York') }}", "Sat, 25 Nov 23 10:04 PM"),
        (
            "{{ when | date(\"D 'o''clock' HH.SSS VV xxx\", timeZone='Asia/Kolkata') }}",
            "330 o'clock 08.678 Asia/Kolkata +05:30",
        ),
        (
            "{{ when | date('iso_week_date') }} {{ when | date('YYYY-ww e') }} {{ when | date('qqq') }}",
            "2023-W47-7Z 2023-48 1 Q4",
        ),
        ("{{ when | date('iso_instant', timeZone='Asia/Tokyo') }}", "2023-11-26T03:04:05.678901234Z"),
        (
            "{{ when | date('iso_zoned_date_time', timeZone='Europe/Rome') }}",
            "2023-11-26T04:04:05.678901234+01:00[Europe/Rome]",
        ),
        (
            "{{ when | date('rfc_1123_date_time') }} {{ when | date('short') }}",
            "Sun, 26 Nov 2023 03:04:05 GMT 11/26/23, 3:04 AM",
        ),
        ("{{ when | date('EEEE d MMMM', locale='fr') }}", "dimanche 26 novembre"),
        ("{{ '26 Nov 2023 3PM' | date('iso_sec', existingFormat='d MMM yyyy ha') }}", "2023-11-26T15:00:00Z"),
        (
            "{{ '20231126' | date('yyyy-MM-dd', existingFormat='yyyyMMdd') }} {{ 0 | date('yyyy') }}",
            "2023-11-26 1970",
        ),
        (
            "{{ '2024-02-29' | dateAdd(1, 'YEARS', 'yyyy-MM-dd') }} {{ '2023-01-31' | dateAdd(1, 'MONTHS', 'MM-dd') }}",
            "2025-02-28 02-28",
        ),
        (
            "{{ '2024-03-30T12:00' | dateAdd(1, 'DAYS', 'iso_sec', timeZone='Europe/Paris') }}",
            "2024-03-31T12:00:00+02:00",
        ),
        (
            "{{ '2024-03-30T12:00' | dateAdd(24, 'HOURS', 'iso_sec', timeZone='Europe/Paris') }}",
            "2024-03-31T13:00:00+02:00",
        ),
        (
            "{{ when | timestamp }} {{ when | timestampMilli }} {{ when | timestampNano }}",
            "1700967845 1700967845678 1700967845678901234",
        ),
        (
            "{{ isWeekend(when) }} {{ dayOfWeek(when) }} {{ monthOfYear(when) }} {{ hourOfDay(when) }}",
            "true SUNDAY 11 3",
        ),
        (
            "{% for at in ['LAST', 'THIRD'] %}{{ isDayWeekInMonth(when, 'sunday', at) }} {% endfor %}",
            "true false ",
        ),
        ("{{ isLastWorkingDay('2023-12-29') }} {{ isLastWorkingDay('2023-12-31', 'SUNDAY') }}", "true true"),
        ("{{ isPublicHoliday('2023-12-25', 'NO') }} {{ isPublicHoliday('2023-11-26', 'NO') }}", "true false"),
        ("{{ isDateBefore(when, '2023-11-26T04:00:00+00:30') }}", "true"),
    ],
)
def test_dates(template: str, text: str) -> None:
    assert render(template) == text


def test_now_is_the_hosts() -> None:
    at = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert (
        render("{{ now('iso_sec', timeZone='Asia/Tokyo') }}", now=lambda: at) == "2031-05-06T16:08:09+09:00"
    )


@pytest.mark.parametrize(
    ("template", "pattern"),
    [
        ("{{ uuid() }}", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        ("{{ id() }}", r"[0-9a-zA-Z]{22}"),
        ("{{ ksuid() }}", r"[0-9a-zA-Z]{27}"),
        ("{{ nanoId() }}", r"[0-9a-zA-Z_-]{21}"),
        ("{{ nanoId(length=5, alphabet='ab') }}", r"[ab]{5}"),
        ("{{ randomPort() }}", r"[0-9]{5}"),
    ],
)
def test_identifiers(template: str, pattern: str) -> None:
    assert re.fullmatch(pattern, render(template))


def test_outputs_of_loops_and_states_of_tasks() -> None:
    variables = {
        "outputs": {
            "t": {"out": {"in": {"value": "deep"}}},
            "loop": {"0": {"value": "first"}, "1": {"value": "second"}},
        },
        "parents": [{"taskrun": {"value": "out"}}],
        "taskrun": {"value": "in", "iteration": 1},
        "tasks": {"a": {"state": "FAILED"}, "b": {"x": {"state": "FAILED"}, "y": {"state": "SUCCESS"}}},
    }

    def seen(template: str, **changes: Any) -> str:
        return expressions.compile(template).render(Scope({**variables, **changes}))

    assert seen("{{ currentEachOutput(outputs.t).value }}") == "deep"
    assert seen("{{ iterationOutput('loop') }}", parents=[]) == "first"
    assert seen("{{ tasksWithState('failed') }}") == (
        '[{"taskId":"a","state":"FAILED"},{"taskId":"b","value":"x","state":"FAILED"}]'
    )
    assert seen("{{ loopOutputs([{'outputs': {'k': 1}}, {}], 'k') }}") == "[1,null]"


@pytest.mark.parametrize("program", ["env", "$ENV.PATH", "env.HOME", "[$ENV[]]", "input_filename"])
def test_jq_sees_no_environment(program: str) -> None:
    assert render("{{ rows | jq('" + program + "') }}") in ("[{}]", "[null]", "[[]]")


@pytest.mark.parametrize("program", ['import "a" as $x; 1', 'include "a"; 1', ".a", "nosuch"])
def test_bad_jq_programs_are_the_users_fault(program: str) -> None:
    with pytest.raises(ExpressionError, match="jq program"):
        render("{{ rows | jq('" + program + "') }}")


def test_a_jq_program_without_end_is_stopped() -> None:
    with pytest.raises(ExpressionError, match=r"too much time or memory|ran longer"):
        render("{{ rows | jq('def f: f; f') }}")


@pytest.mark.parametrize("zone", ["Mars/Base", "../../etc/passwd", "/etc/localtime", "+99:00", ""])
def test_zones_are_names_or_offsets(zone: str) -> None:
    with pytest.raises(ExpressionError, match="no time zone"):
        render("{{ when | date(timeZone='" + zone + "') }}")
