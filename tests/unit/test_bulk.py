"""The collector rests during a first load, and is as it was afterwards, whatever happened."""

from __future__ import annotations

import gc

import pytest

from reconciler.bulk import MANY, collecting_rarely


def test_few_files_change_nothing() -> None:
    usual = gc.get_threshold()
    with collecting_rarely(MANY - 1):
        assert gc.get_threshold() == usual


def test_overlapping_blocks_end_as_it_was() -> None:
    usual = gc.get_threshold()
    first, second = collecting_rarely(MANY), collecting_rarely(MANY)
    first.__enter__()
    second.__enter__()
    assert gc.get_threshold() != usual
    first.__exit__(None, None, None)
    assert gc.get_threshold() != usual
    second.__exit__(None, None, None)
    assert gc.get_threshold() == usual
    with pytest.raises(ValueError, match="x"), collecting_rarely(MANY):
        raise ValueError("x")
    assert gc.get_threshold() == usual
