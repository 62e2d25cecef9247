"""The `md` filter and the template loader: text that is not ours stays text."""

from __future__ import annotations

import jinja2
import pytest

from templates import render
from templates.markdown import escape

Z = "\u200b"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("company.etl.orders", "company.etl.orders"),
        ("a|b", r"a\|b"),
        ("`x`", r"\`x\`"),
        ("```\nrm", r"\`\`\` rm"),
        ("<img src=x onerror=1>", "&lt;img src=x onerror=1&gt;"),
        ("<!-- marker -->", f"&lt;\\!{Z}-- marker --&gt;"),
        ("&lt;", f"&amp;{Z}lt;"),
        ("@everyone", f"@{Z}everyone"),
        ("me@forge.example", f"me@{Z}forge.example"),
        ("#12 and !7", f"\\#{Z}12 and \\!{Z}7"),
        ("[a](http://x)", rf"\[a\]\(http:{Z}//x\)"),
        ("![a](b)", rf"\!{Z}\[a\]\(b\)"),
        ("https://evil.example", f"https:{Z}//evil.example"),
        ("WWW.evil.example", f"WWW{Z}.evil.example"),
        ("a\r\nb\tc\u2028d", "a b c d"),
        ("/close", r"\/close"),
        ("- item", r"\- item"),
        ("# title", r"\# title"),
        ("1. one", f"1{Z}. one"),
        ("= under", r"\= under"),
        (":tada:", rf"\:{Z}tada:"),
        ("back\\slash", r"back\\slash"),
        ("\x1b[31mred\u202e\x00", r"\[31mred"),
        ("_under_ *star* ~strike~", rf"\_under\_ \*star\* \~{Z}strike\~"),
        (12, "12"),
        (None, "None"),
    ],
)
def test_escape(text: object, shown: str) -> None:
    assert escape(text) == shown


def test_an_svg_template_escapes_by_itself() -> None:
    shown = render("badge.svg.jinja", label="<a>", message='"&"', left=1, right=1, color="000")
    assert "<a>" not in shown
    assert "&lt;a&gt;: &#34;&amp;&#34;" in shown


def test_a_name_that_was_not_given_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        render("badge.svg.jinja", label="a")


@pytest.mark.parametrize("name", ["../pyproject.toml", "/etc/passwd", "none.svg.jinja"])
def test_only_our_own_templates_are_found(name: str) -> None:
    with pytest.raises(jinja2.TemplateNotFound):
        render(name)
