"""The web pages over a running engine: what they tell, and that nothing hostile gets through them."""

from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from engine.model.problem import Problem
from reconciler.conditions import Condition
from reconciler.report import Counts, FileStatus, ReconcileStatus
from tests.support.api import api

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}"
FLOW = """
id: tree
namespace: demo
labels: {note: "<script>alert('label')</script>"}
inputs:
  - {id: word, type: STRING, defaults: calm}
tasks:
  - id: outer
    type: core.flow.Sequential
    tasks:
      - id: each
        type: core.flow.ForEach
        values: [one, two]
        tasks:
          - {id: say, type: core.log.Log, message: "{{ inputs.word }} {{ taskrun.value }}"}
  - {id: give, type: core.debug.Return, format: "{{ inputs.word }}"}
triggers:
  - {id: hours, type: core.trigger.Schedule, cron: "0 * * * *"}
outputs:
  - {id: word, type: STRING, value: "{{ inputs.word }}"}
"""
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class _Page(HTMLParser):
    """A page's elements, and whether they nest."""

    void = frozenset({"meta", "link", "input", "br", "img"})

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(answer.text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.void:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def harmless(self) -> None:
        assert self.tags.count("script") == 1  # our own
        assert "img" not in self.tags
        assert not [name for name, _ in self.attributes if name.startswith("on") or name == "style"]
        assert not [value for _, value in self.attributes if "javascript:" in (value or "").lower()]


def _status() -> ReconcileStatus:
    problems = (Problem("flows/<b>.yaml", 14, 9, "tasks[0].type", f"unknown type {EVIL}"),)
    stalled = Condition("Stalled", True, "FlowInvalid", EVIL, "c2", NOW)
    ready = Condition("Ready", False, "FlowInvalid", "1 file is refused", "c2", NOW)
    file = FileStatus("flows/<b>.yaml", "demo", "tree", True, problems, (stalled,))
    return ReconcileStatus(
        f"prod{EVIL}", "c2", (ready, stalled), NOW, 0.1, files=(file,), counts=Counts(live=1, stalled=1)
    )


async def test_the_overview_tells_of_sources_flows_and_executions(tmp_path: Path) -> None:
    async with api(tmp_path, FLOW) as edge:
        edge.statuses = {"prod": _status(), "new": None}
        await edge.document("POST", "executions/demo/tree?wait=true")
        page = _Page(await edge.ask("GET", "/"))
        page.harmless()
        for word in ("Stalled", "1 stalled", "flows/<b>.yaml:14:9", "demo.tree", "✓", "success",
                     "not reconciled yet", "last good", "FlowInvalid", "2026-03-01 12:00:00 UTC"):  # fmt: skip
            assert word in page.text, word
        assert ("href", "/flows/demo/tree") in page.attributes
        assert "No flow has such a name" in _Page(await edge.ask("GET", "/?q=nothing")).text


async def test_an_empty_daemon_has_an_overview(tmp_path: Path) -> None:
    async with api(tmp_path) as edge:
        text = _Page(await edge.ask("GET", "/")).text
        for word in ("No source is followed", "No flow is live", "Nothing has run yet"):
            assert word in text


async def test_flows_are_paged_and_found(tmp_path: Path) -> None:
    flows = [FLOW.replace("id: tree", f"id: tree{number:02}") for number in range(51)]
    async with api(tmp_path, *flows) as edge:
        first = _Page(await edge.ask("GET", "/"))
        assert "tree49" in first.text
        assert "tree50" not in first.text
        assert ("href", "?page=2") in first.attributes
        assert "tree50" in _Page(await edge.ask("GET", "/?page=2")).text
        found = _Page(await edge.ask("GET", "/", params={"q": "TREE5"})).text
        assert "tree50" in found
        assert "tree49" not in found
        assert (await edge.ask("GET", "/?page=x")).status_code == 422


async def test_a_flows_page_has_its_source_triggers_executions_and_badge(tmp_path: Path) -> None:
    async with api(tmp_path, FLOW) as edge:
        document = await edge.document("POST", "executions/demo/tree?wait=true")
        page = _Page(await edge.ask("GET", "/flows/demo/tree"))
        page.harmless()
        assert "triggers: - {id: hours, type: core.trigger.Schedule" in page.text
        assert document["id"] in page.text
        badge = "[![demo.tree](http://localhost/badges/demo/tree.svg)](http://localhost/flows/demo/tree)"
        assert badge in page.text
        assert "headwater execute demo.tree --follow" in page.text
        assert (await edge.ask("GET", "/flows/demo/none")).status_code == 404


async def test_an_executions_page_is_a_tree_with_logs_and_commands(tmp_path: Path) -> None:
    async with api(tmp_path, FLOW) as edge:
        document = await edge.document("POST", "executions/demo/tree?wait=true&labels=who:me")
        page = _Page(await edge.ask("GET", f"/executions/{document['id']}"))
        page.harmless()
        for word in (
            "outer",
            "each",
            "say one",
            "say two",
            "calm one",
            "✓ success",
            "who: me",
            '"word": "calm"',
        ):
            assert word in page.text, word
        assert f"headwater logs {document['id']}" in page.text
        assert "headwater kill" not in page.text
        assert page.tags.count("ul") >= 3
        assert not [value for name, value in page.attributes if name == "data-execution"]
        assert (await edge.ask("GET", "/executions/none")).status_code == 404


async def test_a_page_of_what_still_runs_follows_it(tmp_path: Path) -> None:
    gate = "{id: gate, namespace: demo, tasks: [{id: wait, type: core.flow.Pause}]}"
    async with api(tmp_path, gate) as edge:
        started = await edge.document("POST", "executions/demo/gate")
        await edge.engine.service.wait(started["id"], paused=True)
        page = _Page(await edge.ask("GET", f"/executions/{started['id']}"))
        assert ("data-execution", started["id"]) in page.attributes
        for word in (f"headwater resume {started['id']}", f"headwater kill {started['id']}", "‖ paused"):
            assert word in page.text


@pytest.mark.parametrize("word", [EVIL, "\ud800", "\x00\x1b[31m", "‮", "x" * 100_000])
async def test_hostile_texts_are_shown_and_do_nothing(tmp_path: Path, word: str) -> None:
    async with api(tmp_path, FLOW) as edge:
        execution = await edge.engine.run("demo.tree", word=word)
        for path in ("/", "/flows/demo/tree", f"/executions/{execution.id}"):
            page = _Page(await edge.ask("GET", path))
            page.harmless()
        if word == EVIL:
            assert f"{EVIL} one" in "".join(page.texts)  # the log, as it was written


async def test_a_very_long_log_and_a_very_long_tree_stay_bounded(tmp_path: Path) -> None:
    flow = """
id: many
namespace: demo
tasks:
  - id: each
    type: core.flow.ForEach
    values: "{{ range(1, 600) }}"
    concurrencyLimit: 0
    tasks: [{id: say, type: core.log.Log, message: ["a {{ taskrun.value }}", "b", "c"]}]
"""
    async with api(tmp_path, flow) as edge:
        document = await edge.document("POST", "executions/demo/many?wait=true")
        assert document["state"]["current"] == "SUCCESS", document
        page = _Page(await edge.ask("GET", f"/executions/{document['id']}"))
        assert "more; the API tells of all" in page.text
        link = next(
            value for name, value in page.attributes if name == "href" and (value or "").startswith("?after=")
        )
        rest = _Page(await edge.ask("GET", f"/executions/{document['id']}{link}"))
        assert rest.tags.count("tr") < page.tags.count("tr")


async def test_static_files_are_our_own_and_cached(tmp_path: Path) -> None:
    async with api(tmp_path) as edge:
        for name, kind in (
            ("pages.css", "text/css"),
            ("pages.js", "text/javascript"),
            ("icon.svg", "image/svg"),
        ):
            answer = await edge.ask("GET", f"/static/{name}")
            assert answer.headers["content-type"].startswith(kind)
            again = await edge.ask(
                "GET", f"/static/{name}", headers={"if-none-match": answer.headers["etag"]}
            )
            assert again.status_code == 304
        for name in ("../__init__.py", "%2e%2e/__init__.py", "__init__.py", "pages.css%00"):
            assert (await edge.ask("GET", f"/static/{name}")).status_code == 404


async def test_the_policy_of_every_page_allows_no_foreign_and_no_inline_script(tmp_path: Path) -> None:
    async with api(tmp_path, FLOW) as edge:
        for path in ("/", "/flows/demo/tree"):
            policy = (await edge.ask("GET", path)).headers["content-security-policy"]
            assert "script-src 'self'" in policy
            assert "unsafe-inline" not in policy
