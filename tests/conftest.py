"""The habits that every test keeps: nothing is skipped under CI, and nothing outlives the test that started it.

Fixtures that only some tests want live in `tests.support`; this module must not know any room of the house.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from collections.abc import AsyncIterator, Generator, Iterator

import pytest

IN_CI = os.environ.get("CI", "").lower() not in {"", "0", "false"}
PATIENCE = 2.0  # seconds that a thread or task which is already on its way out gets


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under CI a skip is a failure: a service that is missing there is a fault of the set-up."""
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for whole modules that skip themselves while they are collected."""
    report = yield
    _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if IN_CI and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"nothing may be skipped under CI: {reason}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Watch the tasks of every asynchronous test."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.fixturenames.insert(0, "no_task_outlives_the_test")


@pytest.fixture
async def no_task_outlives_the_test() -> AsyncIterator[None]:
    """Fail a test whose asyncio tasks still run when its fixtures have been torn down."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=PATIENCE)
    assert not left, f"tasks outlive the test: {sorted(task.get_name() for task in left)}"


@pytest.fixture(autouse=True)
def _no_thread_outlives_the_test() -> Iterator[None]:
    """Fail a test that leaves threads behind; the pools of an event loop end with the loop and do not count."""
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before and not _of_event_loop(thread)]
    for thread in left:
        thread.join(PATIENCE)
    alive = sorted(thread.name for thread in left if thread.is_alive())
    assert not alive, f"threads outlive the test: {alive}"


def _of_event_loop(thread: threading.Thread) -> bool:
    return thread.name.startswith("asyncio_")
