"""A daemon in a process of its own, for what only a whole process shows: how soon it is ready, what it holds."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 30.0  # seconds for anything at all
PAUSE = 0.002  # seconds between two looks
SECRET = "a secret of some length"
MB = 1000 * 1000 / 1024  # kilobytes as /proc counts them, in a megabyte


class Process:
    """A server under way.

    Args:
        port: where it listens, or will.
        started: `time.perf_counter()` of just before the process was started.
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int, started: float) -> None:
        self._process = process
        self.port = port
        self.started = started

    def ready(self, path: str = "/readyz") -> float:
        """Seconds from the start of the process to the first answer 200."""
        self.until(lambda: self.status("GET", path) == 200)
        return time.perf_counter() - self.started

    def status(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> int:
        """Ask, and return the answer's status; 0 while nobody listens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers or {})
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()

    def hook(self, source: str) -> None:
        """Say that something was pushed, as a forge does."""
        signature = hmac.new(SECRET.encode(), b"{}", hashlib.sha256).hexdigest()
        headers = {"X-Headwater-Signature": f"sha256={signature}"}
        status = self.status("POST", f"/hooks/{source}", b"{}", headers)
        assert status in (200, 202, 204), status

    def until(self, look: Callable[[], bool]) -> None:
        """Look again and again until it is so."""
        deadline = time.monotonic() + PATIENCE
        while not look():
            assert self._process.poll() is None, "the process has ended"
            assert time.monotonic() < deadline, "it takes too long"
            time.sleep(PAUSE)

    def worked(self) -> float:
        """Seconds of processor time so far, of the process and of what it started and has seen end (proc(5))."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, stat[11:15])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> tuple[float, float]:
        """MB resident, and MB of its share of what it shares (PSS), of the process and all that it started."""
        resident = proportional = 0.0
        for pid in (self._process.pid, *_descendants(self._process.pid)):
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            sizes = {line.split()[0]: line.split()[1] for line in rollup.splitlines()[1:]}
            resident += int(sizes["Rss:"]) / MB
            proportional += int(sizes["Pss:"]) / MB
        return resident, proportional


@contextmanager
def process(command: Sequence[str], port: int, folder: Path) -> Iterator[Process]:
    """Start a server, and end it with the block."""
    with (folder / "log").open("ab") as log:
        started = time.perf_counter()
        running = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield Process(running, port, started)
    finally:
        running.terminate()
        try:
            running.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


@contextmanager
def daemon(folder: Path, url: str) -> Iterator[Process]:
    """`headwater serve` on one source named `flows`, everything else as it comes."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    (folder / "headwater.toml").write_text(
        f'listen = "127.0.0.1:{port}"\ndata = "data"\n'
        f'[[sources]]\nname = "flows"\nurl = {json.dumps(url)}\npoll = 3600\n'
        f'[sources.hook]\nforge = "generic"\nsecrets = ["{SECRET}"]\n'
    )
    command = str(Path(sys.executable).with_name("headwater"))
    with process([command, "serve", "--config", "headwater.toml"], port, folder) as running:
        yield running


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _descendants(pid: int) -> Iterator[int]:
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield int(child)
        yield from _descendants(int(child))
