"""What a kill, a full stop of the disk or a second daemon does to a mirror: it works again, and nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import NotFound, OperatorError, UnavailableError
from reconciler.objects import MirrorDamaged
from reconciler.remote import Credentials, Remote
from reconciler.repository import Mirror
from tests.support.git_servers import http_server
from tests.support.repositories import Author

ROOT = Path(__file__).parents[2]
FETCH = """
import asyncio, sys
from reconciler.repository import Mirror
mirror = Mirror(sys.argv[1], sys.argv[2], "main")
print("begin", flush=True)
print(asyncio.run(mirror.fetch()), flush=True)
"""


@pytest.fixture
def author(tmp_path: Path) -> Author:
    return Author(tmp_path / "remote.git")


def many(seed: int, count: int) -> dict[str, str | None]:
    chance = random.Random(seed)
    return {f"flows/{n % 30}/{n}.yaml": f"{chance.random()}\n" * 60 for n in range(count)}


def whole(mirror: Mirror, revision: str) -> int:
    """Read everything, and say how many files there are."""
    return sum(1 for entry in mirror.files(revision) if mirror.read(entry.blob_id) is not None)


@contextlib.contextmanager
def fetching(path: Path, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that fetches, from the moment it begins."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-c", FETCH, str(path), url]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=ROOT, env=env) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process


async def test_killed_at_random_moments(author: Author, tmp_path: Path) -> None:
    revision = author.commit(many(1, 1500))
    author.pack()
    chance, pause = random.Random(20), threading.Event()
    for turn in range(8):
        path = tmp_path / f"m{turn % 3}.git"
        with fetching(path, author.url) as victim:
            pause.wait(chance.random() * 0.12)
            victim.send_signal(signal.SIGKILL)
        mirror = Mirror(path, author.url, "main")
        assert await mirror.fetch() == revision
        assert whole(mirror, revision) == 1500
        if turn % 3 == 2:
            revision = author.commit(many(turn + 2, 1500))


async def test_a_cancelled_fetch_ends_its_processes_and_the_next_one_works(
    author: Author, tmp_path: Path
) -> None:
    revision = author.commit(many(1, 800))
    mirror = Mirror(tmp_path / "m.git", author.url, "main")
    for rounds in (1, 5, 40):
        task = asyncio.create_task(mirror.fetch())
        for _ in range(rounds):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await mirror.fetch() == revision


async def test_git_that_outlives_a_killed_daemon_is_waited_for(author: Author, tmp_path: Path) -> None:
    revision = author.commit({"a": "1"})
    with http_server(tmp_path) as server:
        server.fault = "hang"
        path, url = tmp_path / "m.git", server.url("remote.git")
        with fetching(path, url) as victim:
            assert await asyncio.to_thread(server.asked.wait, 10)
            victim.send_signal(signal.SIGKILL)
        with pytest.raises(UnavailableError) as caught:
            await Mirror(path, url, "main", timeout=0.2).fetch()
        assert caught.value.reason == "MirrorBusy"
        server.fault = ""
        server.released.set()
        assert await Mirror(path, url, "main").fetch() == revision


@pytest.mark.parametrize(
    "leftover",
    [
        "HEAD.lock",
        "config.lock",
        "packed-refs.lock",
        "shallow.lock",
        "refs/headwater/source.lock",
        "objects/pack/tmp_pack_abc",
        "objects/incoming-x/pack/tmp",
        "objects/ab/tmp_obj_abc",
        "objects/info/commit-graph.lock",
    ],
)
async def test_what_a_kill_left_behind_is_swept(author: Author, tmp_path: Path, leftover: str) -> None:
    author.commit({"a": "1"})
    await Mirror(tmp_path / "m.git", author.url, "main").fetch()
    revision = author.commit({"a": "2"})
    file = tmp_path / "m.git" / leftover
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    mirror = Mirror(tmp_path / "m.git", author.url, "main")
    assert await mirror.fetch() == revision
    assert not file.exists()


async def test_a_lock_that_appears_while_we_run_is_swept_too(author: Author, tmp_path: Path) -> None:
    author.commit({"a": "1"})
    mirror = Mirror(tmp_path / "m.git", author.url, "main")
    await mirror.fetch()
    revision = author.commit({"a": "2"})
    (tmp_path / "m.git" / "refs" / "headwater" / "source.lock").touch()
    assert await mirror.fetch() == revision


def _no_head(folder: Path) -> None:
    (folder / "HEAD").unlink()


def _no_objects(folder: Path) -> None:
    shutil.rmtree(folder / "objects")


def _garbled_config(folder: Path) -> None:
    (folder / "config").write_text("[core\n")


def _only_a_folder(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def _a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("?")


def _empty_ref(folder: Path) -> None:
    (folder / "refs" / "headwater" / "source").write_bytes(b"")


def _foreign_ref(folder: Path) -> None:
    (folder / "refs" / "headwater" / "source").write_text("1" * 40 + "\n")


def _broken_packs(folder: Path) -> None:
    for pack in (folder / "objects" / "pack").glob("*.pack"):
        pack.chmod(0o644)
        data = bytearray(pack.read_bytes())
        data[len(data) // 3 : 2 * len(data) // 3] = bytes(len(data) // 3)
        pack.write_bytes(data)


def _cut_packs(folder: Path) -> None:
    for pack in (folder / "objects" / "pack").glob("*.pack"):
        pack.chmod(0o644)
        pack.write_bytes(pack.read_bytes()[:100])


def _no_indexes(folder: Path) -> None:
    for index in (folder / "objects" / "pack").glob("*.idx"):
        index.unlink()


DAMAGES = [
    _no_head, _no_objects, _garbled_config, _only_a_folder, _a_file, _empty_ref, _foreign_ref, _broken_packs,
    _cut_packs, _no_indexes,
]  # fmt: skip


@pytest.mark.parametrize("fresh", [True, False], ids=["restarted", "running"])
@pytest.mark.parametrize("moved", [True, False], ids=["new-commit", "nothing-new"])
@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_mirror_heals(
    damage: object, author: Author, tmp_path: Path, moved: bool, fresh: bool
) -> None:
    revision = author.commit(many(1, 300))
    author.pack()
    folder = tmp_path / "m.git"
    mirror = Mirror(folder, author.url, "main")
    assert await mirror.fetch() == revision
    assert list((folder / "objects" / "pack").glob("*.pack")), "the damage needs a pack to hit"
    assert callable(damage)
    damage(folder)
    if moved:
        revision = author.commit({"new": "1"})
    if fresh:
        mirror = Mirror(folder, author.url, "main")
    for _ in range(2):  # what shows only on reading is told, and repaired by the fetch after it
        assert await mirror.fetch() == revision
        try:
            assert whole(mirror, revision) == 300 + moved
            break
        except (MirrorDamaged, NotFound):
            continue
    else:
        pytest.fail("the mirror is still damaged")


async def test_two_daemons_on_one_mirror_take_turns(author: Author, tmp_path: Path) -> None:
    revision = author.commit(many(1, 200))
    mirrors = [Mirror(tmp_path / "m.git", author.url, "main") for _ in range(4)]
    assert await asyncio.gather(*(mirror.fetch() for mirror in mirrors)) == [revision] * 4


async def test_a_mirror_held_by_another_is_told(author: Author, tmp_path: Path) -> None:
    author.commit({"a": "1"})
    other = Mirror(tmp_path / "m.git", author.url, "main")
    mirror = Mirror(tmp_path / "m.git", author.url, "main", timeout=0.1)
    async with other.folder.locked(1):
        with pytest.raises(UnavailableError) as caught:
            await mirror.fetch()
    assert caught.value.reason == "MirrorBusy"


async def test_a_folder_that_cannot_be_made_is_the_operators(author: Author, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OperatorError) as caught:
        await Mirror(tmp_path / "file" / "m.git", author.url, "main").fetch()
    assert caught.value.reason == "MirrorUnwritable"


async def test_reading_goes_on_while_another_thread_fetches(author: Author, tmp_path: Path) -> None:
    first = author.commit(many(1, 300))
    mirror = Mirror(tmp_path / "m.git", author.url, "main")
    await mirror.fetch()

    async def read() -> None:
        for _ in range(5):
            assert await asyncio.to_thread(whole, mirror, first) == 300

    async def moves() -> None:
        for turn in range(5):
            revision = author.commit({"x": f"turn {turn}"}, parents=[first])
            assert await mirror.fetch() == revision

    await asyncio.gather(read(), read(), moves())
    mirror.folder.replace()
    with pytest.raises(NotFound):
        whole(mirror, first)
    assert await mirror.fetch() == author.head()
    assert whole(mirror, first) == 300


async def test_no_secret_shows_in_a_process_list(tmp_path: Path) -> None:
    """Everything that git is started with is looked at, through a git of our own that writes it down."""
    remote = Remote("https://bot@example.org/x.git", Credentials("bot", "top-secret"))
    assert "top-secret" not in repr(remote.config) + remote.url + repr(remote.credentials) + remote.display
    record = tmp_path / "argv"
    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {record}\nexit 128\n')
    fake.chmod(0o755)
    mirror = Mirror(tmp_path / "m.git", remote, "main")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
        for ask in (mirror.remote_revision, mirror.fetch):
            with pytest.raises(UnavailableError) as caught:
                await ask()
            assert "top-secret" not in str(caught.value)
    assert "fetch" in record.read_text()
    assert "top-secret" not in record.read_text()
