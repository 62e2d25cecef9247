"""What a process runner refuses before it asks the kernel, and what it tells a run."""

from __future__ import annotations

import pytest

from engine.errors import UserError
from engine.model.run import RunRequest
from runners.process.environment import check, variables


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (RunRequest("k", ()), "empty"),
        (RunRequest("k", ("",)), "empty"),
        (RunRequest("k", ("a", "b\0")), "argument 1"),
        (RunRequest("k", ("a\ud800",)), "argument 0"),
        (RunRequest("k", ("a",), env={"": "x"}), "not a name"),
        (RunRequest("k", ("a",), env={"N=": "x"}), "`N=`"),
        (RunRequest("k", ("a",), env={"NAME": "x\0"}), "`NAME`"),
        (RunRequest("k", ("a" * (17 << 20),)), "too large"),
    ],
)
def test_what_cannot_be_started_is_named(request_: RunRequest, said: str) -> None:
    with pytest.raises(UserError, match=said):
        check(request_)


def test_the_request_wins_over_defaults_but_not_over_the_places_of_the_run() -> None:
    given = {"PATH": "/mine", "HOME": "/h", "WORKING_DIR": "/no", "OUTPUT_DIR": "/no", "X": "1"}
    found = variables(given, work="/w", outputs="/o", temporary="/t", path="/bin", cache="/c")
    assert (
        found.items()
        >= {
            "PATH": "/mine",
            "HOME": "/h",
            "X": "1",
            "WORKING_DIR": "/w",
            "OUTPUT_DIR": "/o",
            "HEADWATER_CACHE": "/c",
        }.items()
    )
