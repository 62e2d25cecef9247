"""How the bytes of a flow file are read: what plain YAML gives, and what is refused where."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import FlowInvalid
from engine.spec.document import MAX_BYTES, dotted, parse

READ: dict[str, Any] = {
    "a: 0001\nb: on\nc: 2020-01-01\nd: 0o17\ne: ~\nf: 1_000\nh: 0x1F\ni: 1e3\nj: 12:30:45\n": {
        "a": "0001", "b": "on", "c": "2020-01-01", "d": 15, "e": None, "f": "1_000", "h": 31, "i": 1000.0,
        "j": "12:30:45",
    },
    "b: on\nc: 2020-01-01\nd: 0o17\ne: ~\nf: 1_000\nh: 0x1F\ni: 1e3\nj: no\n": {
        "b": "on", "c": "2020-01-01", "d": 15, "e": None, "f": "1_000", "h": 31, "i": 1000.0, "j": "no",
    },
    "a: 12345678901234567890\n": {"a": 12345678901234567890},
    "\ufeffa: 1\r\nb: 2\r\n": {"a": 1, "b": 2},
    "---\na: 1\n": {"a": 1},
    "a: &x [1, 2]\nb: *x\n": {"a": [1, 2], "b": [1, 2]},
    "a: &x {c: 1, d: 2}\nb:\n  <<: *x\n  d: 3\n": {"a": {"c": 1, "d": 2}, "b": {"c": 1, "d": 3}},
    "a: |\n  b: 1\n  b: 2\nc: 3\n": {"a": "b: 1\nb: 2\n", "c": 3},
    "a:\n  - b: 1\n    c: 2\n  - b: 3\n": {"a": [{"b": 1, "c": 2}, {"b": 3}]},
    "a: !!str 1\n": {"a": "1"},
    "a: 'x\n  b: 1'\nc: 2\n": {"a": "x b: 1", "c": 2},
}  # fmt: skip

REFUSED = {
    b"a: 1\na: 2\n": "f:2:1: a: duplicate key `a`; it is already given in line 1",
    b"a:\n  - b: 1\n    c: 1\n    b: 2\n": "f:4:5: a[0].b: duplicate key `b`; it is already given in line 2",
    b"a: {b: 1, b: 2}\n": "f:1:11: a.b: duplicate key `b`; it is already given in line 1",
    b"a: 1\n'a': 2\n": "f:2:1: a: duplicate key `a`; it is already given in line 1",
    b'a: 1\n"\\x61": 2\n': "f:2:1: a: duplicate key `a`; it is already given in line 1",
    b"a: {{ x }}\n": 'f:1:5: a: a bare `{{` starts a YAML map; quote the expression: "{{ … }}"',
    b"a: {{ x }} y\nb: 1\n": 'f:1:4: a bare `{{` starts a YAML map; quote the expression: "{{ … }}"',
    b"a:\n  - {{ x }} y\n": 'f:2:5: a bare `{{` starts a YAML map; quote the expression: "{{ … }}"',
    b"a: 1\n---\nb: 2\n": "f:2:1: several documents in one file; write one flow a file",
    b"a:\n\tb: 1\n": "f:2:1: a tab cannot indent YAML; use spaces",
    b"a: !thing 1\n": "f:1:4: a: the tag `!thing` is not supported; remove it",
    b"a: !!python/object:os.system 1\n": "f:1:4: a: the tag `!!python/object:os.system` is not supported; remove it",
    b"? [a]\n: 1\n": "f:1:3: a key has to be text, not a map or a list",
    b"a: *x\n": "f:1:4: this is not YAML: found undefined alias 'x'",
    b'a: "\\ud800"\n': "f:1:4: a: half of a surrogate pair is no character; write the whole character",
    b"a: b\nc: \x00\n": "f:2:4: the control character U+0000 does not belong into a text file; remove it",
    b"a: b\rc: d\n": "f:1:5: the control character U+000D does not belong into a text file; remove it",
    b"a: \xff\n": "f:1:4: this is not UTF-8; save the file as UTF-8",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n": (
        "f: this is a Git LFS pointer, not a flow; keep flows out of LFS"
    ),
    b"#"
    * (MAX_BYTES + 1): f"f: {MAX_BYTES + 1} bytes are too large for a flow; at most {MAX_BYTES} are read",
    b"- " * 100_000: "f: nested too deep to be read",
    b"? " * 2_000: "f: nested too deep to be read",
    b"".join(b" " * depth + b"a:\n" for depth in range(900)): "f: nested too deep to be read",
}


@pytest.mark.parametrize("text", READ)
def test_read(text: str) -> None:
    assert parse(text.encode(), "f").data == READ[text]


@pytest.mark.parametrize("content", REFUSED, ids=[repr(content[:30]) for content in REFUSED])
def test_refused(content: bytes) -> None:
    with pytest.raises(FlowInvalid) as caught:
        parse(content, "f")
    assert str(caught.value) == REFUSED[content]


def test_anchors_are_followed_within_bounds() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    with pytest.raises(FlowInvalid, match="more than 100000 values once anchors are followed"):
        parse("\n".join(lines).encode(), "f")


def test_an_anchor_that_contains_itself_is_refused() -> None:
    with pytest.raises(FlowInvalid, match="nested deeper than 100 levels"):
        parse(b"a: &x [*x]\n", "f")


def test_every_value_has_a_place() -> None:
    document = parse(b"a:\n  - b: 1\n    c: [x, y]\n", "f")
    assert document.locate(("a", 0, "b")) == (2, 8)
    assert document.locate(("a", 0, "b"), key=True) == (2, 5)
    assert document.locate(("a", 0, "c", 1)) == (3, 12)
    assert document.locate(("a", 0, "missing", "deeper")) == (2, 5)


def test_paths_read_as_people_write_them() -> None:
    assert dotted(("tasks", 0, "cases", "a b", 1, "id")) == "tasks[0].cases.a b[1].id"
    assert dotted(()) == ""
