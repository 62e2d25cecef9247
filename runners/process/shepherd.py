"""The shepherd: a tiny process of its own that starts runs and writes down how they end.

It outlives the daemon, so that a run's exit code is known even when the daemon was killed in between. It runs as a
bare script on the standard library alone (`python -I -S`, so that it starts in a few milliseconds and stays small) and
must not import anything of ours. Requests come in on descriptor 3; `launcher` is the other end of the line.

Request: the number of bytes that follow as 8 digits, then NUL-separated fields: number of the request, run directory,
working directory, PATH, content of `run.json`, number of small files, name and content of each, number of arguments,
the arguments, the environment as NAME=value.

Answers, one line each:
    started REQUEST PID START SHEPHERD-PID SHEPHERD-START
    before REQUEST                  the run was started, or cancelled, before
    failed REQUEST ERRNO STAGE      where STAGE is PROGRAM or DIRECTORY
    ended REQUEST CODE CANCELLED    later, for a run that was started; CANCELLED is 0 or 1

In the run directory (see `rundir`) it makes what is not there yet. The exclusive creation of `stdout` is what makes a
start happen at most once, whoever asks and whoever is killed.
"""

from __future__ import annotations

import errno
import os
import select
import sys

CONTROL = 3
RETRY_SECONDS = 1.0
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
REPLACE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC


def started_at(pid: int) -> int:
    """When that process started, in clock ticks since boot: field 22 of /proc/PID/stat (proc(5)); 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except OSError:
        return 0


class Request:
    """One run to start, as it came over the line."""

    def __init__(self, body: bytes) -> None:
        number, self.directory, self.work, self.path, self.note, files, *rest = body.split(b"\0")
        self.number = int(number)
        end = 2 * int(files)
        self.files = dict(zip(rest[:end:2], rest[1:end:2]))  # noqa: B905 - always pairs
        count, *rest = rest[end:]
        self.arguments = rest[: int(count)]
        self.environment = dict(variable.split(b"=", 1) for variable in rest[int(count) :])

    def program(self) -> bytes:
        """The file to execute, found as execvp(3) finds it."""
        name = self.arguments[0]
        if b"/" in name:
            return name
        for folder in self.path.split(b":"):
            candidate = os.path.join(self.work, folder, name)
            if os.access(candidate, os.X_OK) and not os.path.isdir(candidate):
                return candidate
        raise FileNotFoundError(errno.ENOENT, "no such program")


class Shepherd:
    """What the shepherd has in hand: processes by their pidfd, and exit codes that could not be written yet.

    Args:
        default_signals: signals that runs get with their default action, whatever this process inherited.
    """

    def __init__(self, default_signals: list[int]) -> None:
        self._default_signals = default_signals
        self._poll = select.epoll()
        self._children: dict[int, tuple[int, Request]] = {}
        self._unwritten: dict[Request, bytes] = {}
        self._latest: dict[bytes, Request] = {}
        self._controlled = True
        self._me = f"{os.getpid()} {started_at(os.getpid())}"
        with open("/proc/sys/kernel/random/boot_id") as file:
            self._boot = file.read().strip()

    def serve(self) -> None:
        """Work until nobody asks any more and no run is left."""
        self._poll.register(CONTROL, select.EPOLLIN)
        while self._controlled or self._children or self._unwritten:
            for descriptor, _ in self._poll.poll(RETRY_SECONDS if self._unwritten else None):
                if descriptor == CONTROL:
                    self._request()
                else:
                    self._ended(descriptor)
            for request, code in list(self._unwritten.items()):
                self._keep_exit(request, code)

    def _request(self) -> None:
        size = _receive(8)
        body = _receive(int(size)) if size else b""
        if body:
            self._start(Request(body))
        else:
            self._controlled = False
            self._poll.unregister(CONTROL)
            os.close(CONTROL)

    def _start(self, request: Request) -> None:
        opened: list[int] = []
        stage = "DIRECTORY"
        try:
            _lay_out(request)
            for name in (b"/stdout", b"/stderr"):
                opened.append(os.open(request.directory + name, CREATE, 0o600))
            # Cancelling writes `cancelled` and then looks for `stdout`: one of the two sides sees the other.
            if os.path.exists(request.directory + b"/cancelled"):
                raise InterruptedError(errno.EINTR, "cancelled")
            os.chdir(request.work)
            stage = "PROGRAM"
            pid = self._spawn(request, *opened)
        except FileExistsError:
            _answer(f"before {request.number}")
        except OSError as error:
            for name in (b"/stdout", b"/stderr")[: len(opened)]:
                _discard(request.directory + name)
            before = isinstance(error, InterruptedError)
            _answer(
                f"before {request.number}" if before else f"failed {request.number} {error.errno} {stage}"
            )
        else:
            start = started_at(pid)
            _answer(f"started {request.number} {pid} {start} {self._me}")
            self._follow(pid, start, request)
        finally:
            os.chdir("/")
            for descriptor in opened:
                os.close(descriptor)

    def _spawn(self, request: Request, out: int, err: int) -> int:
        return os.posix_spawn(
            request.program(),
            request.arguments,
            request.environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, out, 1),
                (os.POSIX_SPAWN_DUP2, err, 2),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=self._default_signals,
        )

    def _follow(self, pid: int, start: int, request: Request) -> None:
        descriptor = os.pidfd_open(pid)
        self._children[descriptor] = (pid, request)
        self._latest[request.directory] = request
        self._poll.register(descriptor, select.EPOLLIN)
        try:  # noqa: SIM105 - contextlib would double the time that the shepherd takes to start
            _write(request.directory + b"/process", f"{pid} {start} {self._me} {self._boot}\n".encode())
        except OSError:
            pass  # a full disk; the daemon has it from the answer, a later one finds the process by its environment

    def _ended(self, descriptor: int) -> None:
        pid, request = self._children.pop(descriptor)
        self._poll.unregister(descriptor)
        os.close(descriptor)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        code = code if code >= 0 else 128 - code
        cancelled = os.path.exists(request.directory + b"/cancelled")
        self._keep_exit(request, b"%d\n" % code)
        if self._controlled:
            _answer(f"ended {request.number} {code} {int(cancelled)}")

    def _keep_exit(self, request: Request, code: bytes) -> None:
        # A key that was cleaned up and started again has its folder's name from the run before.
        if self._latest.get(request.directory) is request:
            try:
                _write(request.directory + b"/exit", code)
            except OSError:
                if os.path.isdir(request.directory):
                    self._unwritten[request] = code
                    return
            del self._latest[request.directory]
        self._unwritten.pop(request, None)


def _lay_out(request: Request) -> None:
    directory = request.directory
    for path in (directory, directory + b"/outputs", directory + b"/temporary", request.work):
        try:  # noqa: SIM105
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass
    if not os.path.exists(directory + b"/run.json"):
        _write(directory + b"/run.json", request.note)
    if request.files and not os.path.exists(directory + b"/stdout"):
        for name, content in request.files.items():
            _write(request.work + b"/" + name, content, 0o644)


def _write(path: bytes, content: bytes, mode: int = 0o600) -> None:
    descriptor = os.open(path, REPLACE, mode)
    try:
        if os.write(descriptor, content) < len(content):
            raise OSError(errno.ENOSPC, "the disk is full")
    finally:
        os.close(descriptor)


def _discard(path: bytes) -> None:
    try:  # noqa: SIM105
        os.unlink(path)
    except OSError:
        pass


def _answer(text: str) -> None:
    try:  # noqa: SIM105
        os.write(CONTROL, text.encode() + b"\n")
    except OSError:
        pass  # the daemon is gone; the next turn reads the end of its requests


def _receive(size: int) -> bytes:
    parts = []
    while size:
        try:
            part = os.read(CONTROL, min(size, 1 << 20))
        except ConnectionResetError:
            return b""
        if not part:
            return b""
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def main() -> None:
    """Leave the daemon's family, so that it has nobody to reap, and serve."""
    os.closerange(CONTROL + 1, 1 << 16)
    os.set_inheritable(CONTROL, False)
    if os.fork():
        os._exit(0)
    Shepherd([int(number) for number in sys.argv[1:]]).serve()


if __name__ == "__main__":
    main()
