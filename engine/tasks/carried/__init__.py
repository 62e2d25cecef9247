"""Small programs that are laid into a script's working directory and run there, by whatever Python is there.

They import nothing of ours and nothing that is not in Python's own library since 3.8.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def program(name: str) -> bytes:
    """The source of one of them, such as `environment.py`."""
    return (files(__name__) / name).read_bytes()
