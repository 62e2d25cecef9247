"""The log tail gives the same lines however the bytes arrive and wherever a reader starts again."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from runners.process.tail import Tail

PIECES = st.lists(
    st.binary(max_size=12) | st.sampled_from([b"\n", b"\r\n", "ü\n".encode(), b"\r"]), max_size=20
)


def _opened(folder: str, after: str = "") -> Tail:
    tail = Tail(folder, after)
    tail.open()
    return tail


def expected(written: bytes) -> list[str]:
    if not written:
        return []
    *whole, last = written.split(b"\n")
    kept = [line.removesuffix(b"\r") for line in whole] + ([last] if last else [])
    return [line.decode("utf-8", "replace") for line in kept]


@given(PIECES, PIECES, st.data())
@settings(max_examples=150, deadline=None)
def test_any_bytes_in_any_pieces(out: list[bytes], err: list[bytes], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = {"stdout": Path(folder, "stdout"), "stderr": Path(folder, "stderr")}
        for file in files.values():
            file.touch()
        tail, found = _opened(folder), []
        for index in range(max(len(out), len(err))):
            for file, pieces in zip(files.values(), (out, err), strict=True):
                with file.open("ab") as stream:
                    stream.write(b"".join(pieces[index : index + 1]))
            found += ((data.draw(st.booleans()) and tail.read_at_once(False)) or tail.read(False))[0]
            if found and data.draw(st.booleans()):
                tail.close()
                tail = _opened(folder, found[-1].cursor)
        found += tail.read(True)[0]
        for stream, pieces in (("stdout", out), ("stderr", err)):
            assert [line.text for line in found if line.stream == stream] == expected(b"".join(pieces))
        assert tail.read(True) == ([], False)
        tail.close()


@given(st.text(max_size=80))
def test_any_cursor_is_read_without_harm(cursor: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "stdout").write_bytes(b"a\nb\n")
        tail = _opened(folder, cursor)
        assert len(tail.read(True)[0]) <= 2
        tail.close()


def test_a_background_writer_does_not_keep_the_reader() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "stdout")
        file.write_bytes(b"a\nb")
        tail = _opened(folder)
        lines, more = tail.read(True)
        assert ([line.text for line in lines], more) == (["a", "b"], False)
        file.write_bytes(b"a\nbc\nd\n")
        assert tail.read(True) == ([], False)
        tail.close()
