"""The page on the HTTP interface names every address and every metric that there is, and none besides."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client import CollectorRegistry
from starlette.routing import BaseRoute, Mount, Route

from tests.support.api import ROOT, api
from webhooks.metrics import Metrics

PAGE = (Path(__file__).parents[2] / "docs/reference/api.md").read_text()


def _addresses(routes: list[BaseRoute], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for route in routes:
        if isinstance(route, Mount):
            inner = route.app.__dict__.get("_app", route.app)
            below = inner.routes if isinstance(inner, Mount) else route.routes
            found |= _addresses(list(below), prefix + route.path)
        elif isinstance(route, Route):
            found.add((prefix + route.path).replace("{tenant}", "main").replace(":path}", "}"))
    return found


async def test_every_address_is_documented_and_every_documented_one_is_there(tmp_path: Path) -> None:
    async with api(tmp_path) as edge:
        there = {each.removeprefix(ROOT) for each in _addresses(list(edge.app.routes))}
    told = set(re.findall(r"[` ](/[a-z{}/.-]*)`", PAGE)) - {"/api/v1/main"}
    others = {
        "/metrics",
        "/hooks/{source}",
        "/badges/{namespace}/{flow}.svg",
        "/badges/{namespace}/{flow}.json",
    }
    assert told == (there | others) - {"/static/{name}"}
    assert len(there) > 15


def test_every_metric_is_documented() -> None:
    registry = CollectorRegistry()
    Metrics(registry, dict)
    there = {
        metric.name + ("_total" if metric.type == "counter" else "")
        for metric in registry.collect()
        if metric.name != "headwater"
    }
    assert set(re.findall(r"`(headwater_\w+)`", PAGE)) == there
