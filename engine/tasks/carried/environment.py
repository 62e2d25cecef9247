"""Makes, or finds, the virtual environment that has a script's dependencies, and writes down where it is.

    python3 environment.py TARGET MANAGER CACHED PYTHON REQUIREMENT...

Runs where the script runs, which may be far from the daemon; it must not import anything of ours. An environment is
named by what is in it and made once: under a lock, and used only after all of it is there.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time

_READY = "headwater-ready"
_SETTINGS = ("PIP_", "UV_")  # whatever they say may change what is installed


def main(target: str, manager: str, cached: str, python: str, *requirements: str) -> int:
    """Make or find the environment and write its path to the file `target`; returns the exit code."""
    uv = shutil.which("uv") if manager == "UV" else None
    interpreter = shutil.which(python)
    if interpreter is None and uv is None:
        _say(f"there is no {python} here; install it, or uv, which brings it along")
        return 127
    root = os.environ.get("HEADWATER_CACHE", "")  # noqa: TID251 - this is another process, with an environment of its own
    if not root or cached != "true":
        root = tempfile.mkdtemp(prefix="headwater-")
    for name in ("UV_CACHE_DIR", "PIP_CACHE_DIR"):
        os.environ.setdefault(name, os.path.join(root, name.split("_")[0].lower()))  # noqa: TID251
    folder = os.path.join(root, "environments", _digest(interpreter or python, requirements))
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    with open(folder + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(os.path.join(folder, _READY)):
            code = _make(folder, uv, interpreter or python, requirements)
            if code:
                return code
    with open(target, "w") as file:
        file.write(folder)
    return 0


def _digest(python: str, requirements: tuple[str, ...]) -> str:
    text = [os.path.realpath(python), *sorted(requirements)]
    if os.path.exists(python):
        text.append(str(os.stat(python).st_mtime_ns))
    for name, value in sorted(os.environ.items()):  # noqa: TID251
        if name.startswith(_SETTINGS) and not name.endswith("_CACHE_DIR"):
            text.append(f"{name}={value}")
    digest = hashlib.sha256("\0".join(text).encode("utf-8", "surrogateescape"))
    for requirement in requirements:
        if os.path.isfile(requirement):
            with open(requirement, "rb") as file:
                digest.update(file.read())
    return digest.hexdigest()[:32]


def _make(folder: str, uv: str | None, python: str, requirements: tuple[str, ...]) -> int:
    began = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)  # left half made by somebody who was killed
    inside = os.path.join(folder, "bin", "python")
    if uv is not None:
        steps = [
            [uv, "venv", "--quiet", "--python", python, folder],
            [uv, "pip", "install", "--quiet", "--python", inside, "--", *requirements],
        ]
    else:
        install = [inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
        steps = [[python, "-m", "venv", folder], [*install, "--", *requirements]]
    for step in steps:
        code = subprocess.call(step, stdout=sys.stderr, stdin=subprocess.DEVNULL)
        if code:
            _say(f"the dependencies {', '.join(requirements)} could not be installed")
            return code
    open(os.path.join(folder, _READY), "w").close()
    seconds = time.monotonic() - began
    sys.stdout.write(f"installed {', '.join(requirements)} by {'uv' if uv else 'pip'} in {seconds:.1f} s\n")
    return 0


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
