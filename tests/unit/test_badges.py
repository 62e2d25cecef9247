"""Badges: what they say, that hostile names stay text, and how image proxies are told to ask again."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import pytest

from reconciler.status.badge import STATES, Badge, endpoint, label, svg
from tests.support.edge import Edge

HOSTILE = [
    "<script>alert(1)</script>",
    "\"/><image href='x'/>",
    "]]>&amp;&#0;",
    "a\x00b\x1b[31m\u202ec\ufffe",
    "\ud800",
    "{{ 7 * 7 }}",
    "x" * 10_000,
    "",
    "流れ.日次",
]


def test_a_label_is_the_last_part_of_the_namespace_and_the_id() -> None:
    assert label("company.etl", "orders") == "etl.orders"
    assert label("company", "orders") == "company.orders"


@pytest.mark.parametrize("state", STATES)
def test_every_state_is_a_word_and_the_endpoint_follows_the_schema(state: str) -> None:
    badge = Badge("etl.orders", state, "12 s")  # type: ignore[arg-type]
    document = json.loads(endpoint(badge))
    assert document["schemaVersion"] == 1
    assert (document["label"], document["message"]) == ("etl.orders", f"{state} 12 s")
    assert document.get("isError", False) == (state in ("failing", "stalled"))
    assert f'fill="#{document["color"]}"' in svg(badge)
    assert _contrast(document["color"]) >= 4.5


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text: str) -> None:
    badge = Badge(text, "passing", text)
    root = ElementTree.fromstring(svg(badge).encode())
    assert {element.tag.rpartition("}")[2] for element in root.iter()} == {
        "svg",
        "title",
        "clipPath",
        "rect",
        "g",
        "text",
    }
    document = json.loads(endpoint(badge).encode())
    assert document["label"]
    assert document["message"].startswith("passing")
    assert len(svg(badge)) < 3_000
    assert int(root.attrib["width"]) < 1_500
    for element in root.iter():
        assert float(element.attrib.get("textLength", 1)) > 0


def test_the_same_facts_give_the_same_bytes() -> None:
    assert svg(Badge("a.b", "stale")) == svg(Badge("a.b", "stale"))
    assert svg(Badge("a.b", "stale")) != svg(Badge("a.b", "passing"))


async def test_a_badge_over_http_is_fresh_or_not_modified() -> None:
    edge = Edge()
    edge.badges["company.etl", "orders"] = Badge("etl.orders", "passing", "12 s")
    first = await edge.request("GET", "/badges/company.etl/orders.svg")
    assert (first.status_code, first.headers["content-type"]) == (200, "image/svg+xml")
    assert first.headers["cache-control"] == "no-cache"
    assert first.headers["cross-origin-resource-policy"] == "cross-origin"
    assert "default-src 'none'" in first.headers["content-security-policy"]
    tag = first.headers["etag"]
    for condition in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = await edge.request(
            "GET", "/badges/company.etl/orders.svg", headers={"If-None-Match": condition}
        )
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    edge.badges["company.etl", "orders"] = Badge("etl.orders", "failing")
    changed = await edge.request("GET", "/badges/company.etl/orders.svg", headers={"If-None-Match": tag})
    assert (changed.status_code, "failing" in changed.text) == (200, True)


async def test_a_badge_over_http_has_a_json_form_and_head() -> None:
    edge = Edge()
    edge.badges["company.etl", "orders.daily"] = Badge("etl.orders.daily", "unknown")
    answer = await edge.request("GET", "/badges/company.etl/orders.daily.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "schemaVersion": 1,
        "label": "etl.orders.daily",
        "message": "unknown",
        "color": "5f6368",
    }
    head = await edge.request("HEAD", "/badges/company.etl/orders.daily.json")
    assert (head.status_code, head.headers["etag"]) == (200, answer.headers["etag"])


@pytest.mark.parametrize("path", ["company/none.svg", "a/b.png", "a/b/c.svg", "../etc.svg", "%00/%ff.svg"])
async def test_a_badge_of_no_flow_is_a_problem(path: str) -> None:
    answer = await Edge().request("GET", f"/badges/{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def _contrast(color: str) -> float:
    """White on `color`, WCAG 2.2."""
    channels = [int(color[index : index + 2], 16) / 255 for index in (0, 2, 4)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return 1.05 / (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)
