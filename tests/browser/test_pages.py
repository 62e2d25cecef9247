"""The pages in a real browser: nothing on its console, times in its zone, an execution that is followed live."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Page, Request, async_playwright, expect

from tests.support.api import api
from tests.support.serving import serving

FLOW = """
id: approve
namespace: demo.sales
labels: {team: "<script>alert(1)</script>"}
tasks:
  - id: prepare
    type: core.flow.ForEach
    values: [north, south]
    tasks:
      - {id: count, type: core.log.Log, message: "counting {{ taskrun.value }}"}
  - {id: ask, type: core.flow.Pause}
  - {id: report, type: core.log.Log, level: WARN, message: "<img src=x onerror=alert(2)> reported"}
triggers:
  - {id: hours, type: core.trigger.Schedule, cron: "0 * * * *"}
"""
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]  # fmt: skip


@asynccontextmanager
async def browser_page(profile: Path, **options: str) -> AsyncIterator[tuple[Page, list[str]]]:
    """A page of a fresh browser, and what it complains about."""
    complaints: list[str] = []
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            str(profile), executable_path="/usr/bin/chromium", args=FLAGS, timezone_id="Asia/Tokyo", **options
        )
        page = await context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.extend(_trouble(request)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        yield page, complaints
        await context.close()


def _trouble(request: Request) -> list[str]:
    """What there is to complain of; a page that is left ends its live stream itself."""
    return [] if request.failure == "net::ERR_ABORTED" else [f"{request.url}: {request.failure}"]


async def test_an_execution_is_followed_from_the_overview_to_its_end(tmp_path: Path) -> None:
    async with api(tmp_path, FLOW) as edge, serving(edge.app) as port:
        edge.statuses = {"prod": None}
        started = await edge.document("POST", "executions/demo.sales/approve")
        await edge.engine.service.wait(started["id"], paused=True)
        async with browser_page(tmp_path / "profile", color_scheme="dark") as (page, complaints):
            await page.goto(f"http://127.0.0.1:{port}/")
            await expect(page.locator("h1")).to_have_text("Overview")
            await page.get_by_role("link", name=started["id"]).click()
            standing, lines = page.locator("#standing"), page.locator("#lines")
            await expect(standing.locator("p").first).to_contain_text("‖ paused")
            await expect(lines).to_contain_text("counting south")
            shown = await standing.locator("time").first.text_content()
            assert shown is not None
            assert "UTC" not in shown  # in the reader's zone
            await edge.document("POST", f"executions/{started['id']}/resume")
            await expect(standing.locator("p").first).to_contain_text("✓ success")
            await expect(lines).to_contain_text("<img src=x onerror=alert(2)> reported")
            await expect(standing).not_to_contain_text("headwater kill")
            await expect(standing).to_contain_text("<script>alert(1)</script>")
            await page.screenshot(path=tmp_path / "execution.png", full_page=True)
            await page.get_by_role("link", name="demo.sales.approve").click()
            await expect(page.locator("h1")).to_have_text("demo.sales.approve")
            await page.screenshot(path=tmp_path / "flow.png", full_page=True)
            await page.goto(f"http://127.0.0.1:{port}/")
            await page.screenshot(path=tmp_path / "overview.png", full_page=True)
            assert complaints == []


async def test_a_command_is_copied(tmp_path: Path) -> None:
    async with (
        api(tmp_path, FLOW) as edge,
        serving(edge.app) as port,
        browser_page(tmp_path / "p") as (page, said),
    ):
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await page.goto(f"http://127.0.0.1:{port}/flows/demo.sales/approve")
        await page.get_by_role("button", name="Copy").first.click()
        await expect(page.get_by_role("button", name="Copied")).to_be_visible()
        assert (
            await page.evaluate("navigator.clipboard.readText()")
            == "headwater execute demo.sales.approve --follow"
        )
        assert said == []
