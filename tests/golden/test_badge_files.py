"""The badge's exact bytes: a change to how it looks is a change to these files."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.status.badge import Badge, endpoint, svg

FOLDER = Path(__file__).parent / "badges"
BADGES = {
    "passing": Badge("etl.orders", "passing", "12 s"),
    "failing": Badge("etl.orders", "failing"),
    "stalled": Badge("etl.<orders> & co", "stalled"),
}


@pytest.mark.parametrize("name", BADGES)
def test_badge(name: str) -> None:
    assert svg(BADGES[name]) == (FOLDER / f"{name}.svg").read_text("utf-8")
    assert endpoint(BADGES[name]) == (FOLDER / f"{name}.json").read_text("utf-8")
