"""Real Git servers for tests, on loopback: `git http-backend` behind a small HTTP server, and a real sshd.

Both serve the bare repositories below a folder. Both stop what they started.
"""

from __future__ import annotations

import base64
import contextlib
import getpass
import os
import shlex
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from reconciler.remote import Credentials

_SSHD = next(
    (p for p in ("/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd") if os.path.exists(p)), "sshd"
)


class GitHttpServer(ThreadingHTTPServer):
    """Serves the repositories below `root` by Git's smart HTTP protocol.

    Args:
        root: the folder.
        auth: user name and password that every request must carry, if any.
    """

    daemon_threads = True

    def __init__(self, root: Path, auth: tuple[str, str] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.auth = auth
        self.fault = ""
        """`error` answers 503, `hang` never answers, `drop` closes at once, `cut` closes in the middle of a pack."""
        self.redirect_to = ""
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.released = threading.Event()
        """Lets go of the requests that hang."""
        self.asked = threading.Event()
        """A request has come."""

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def url(self, name: str) -> str:
        return f"{self.origin}/{name}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: GitHttpServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Silence."""

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        server = self.server
        server.seen.append((self.command, self.path, dict(self.headers)))
        server.asked.set()
        self.close_connection = self.close_connection or bool(server.fault)
        if server.fault == "hang":
            server.released.wait(60)
            return
        if server.fault == "drop":
            return
        body = self._body()
        if server.fault == "error":
            self._answer(503, {}, b"under maintenance")
        elif server.redirect_to:
            self._answer(302, {"Location": server.redirect_to + self.path}, b"")
        elif server.auth and not self._authorised(server.auth):
            self._answer(401, {"WWW-Authenticate": 'Basic realm="git"'}, b"")
        else:
            self._backend(body)

    def _authorised(self, auth: tuple[str, str]) -> bool:
        expected = base64.b64encode(":".join(auth).encode()).decode()
        return self.headers.get("Authorization") == f"Basic {expected}"

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().strip() or b"0", 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _backend(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "HOME": "/nonexistent",
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": "http.receivepack",
            "GIT_CONFIG_VALUE_0": "true",
            "GIT_CONFIG_KEY_1": "safe.directory",
            "GIT_CONFIG_VALUE_1": "*",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(["git", "http-backend"], env=env, input=body, capture_output=True, check=False)
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        status = int(headers.pop("Status", "200").split()[0])
        if self.server.fault == "cut" and self.command == "POST":
            self._answer(status, headers, answer[: len(answer) // 2], claimed=len(answer))
        else:
            self._answer(status, headers, answer)

    def _answer(self, status: int, headers: dict[str, str], body: bytes, claimed: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if claimed is None else claimed))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def http_server(root: Path, auth: tuple[str, str] | None = None) -> Iterator[GitHttpServer]:
    """Serve the repositories below `root` over HTTP until the block ends."""
    server = GitHttpServer(root, auth)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


class GitSshServer:
    """A running sshd that lets one throwaway key in, as the user who runs the tests.

    Args:
        folder: where its keys lie.
        port: where it listens.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.credentials = Credentials(
            ssh_key_file=str(folder / "user key"), known_hosts=str(folder / "known hosts")
        )

    def url(self, repository: Path) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{repository}"


@contextlib.contextmanager
def ssh_server(folder: Path) -> Iterator[GitSshServer]:
    """Run sshd on a free port with keys of its own in `folder` until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("host_key", "user key", "other key"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)], check=True
        )
    server = GitSshServer(folder, _free_port())
    host_key = (folder / "host_key.pub").read_text()
    (folder / "known hosts").write_text(f"[127.0.0.1]:{server.port} {host_key}")
    (folder / "authorized_keys").write_text((folder / "user key.pub").read_text())
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1\nPort {server.port}\nHostKey {shlex.quote(str(folder / 'host_key'))}\n"
        f'AuthorizedKeysFile "{folder / "authorized_keys"}"\nStrictModes no\nUsePAM no\nPidFile none\n'
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
        "MaxStartups 100\nLogLevel DEBUG\nSetEnv GIT_CONFIG_NOSYSTEM=1\nAcceptEnv GIT_PROTOCOL\n"
    )
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    with open(folder / "sshd.log", "wb") as log:
        process = subprocess.Popen(
            [_SSHD, "-D", "-e", "-f", str(folder / "sshd_config")],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
    try:
        _wait_for_port(server.port, process)
        yield server
    finally:
        process.terminate()
        process.wait(10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    pause = threading.Event()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        pause.wait(0.02)
    raise AssertionError(f"the server on port {port} did not start")
