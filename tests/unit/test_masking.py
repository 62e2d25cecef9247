"""Secrets are masked by value: in plain, in their usual disguises, in text and in documents."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.documents import execution_document
from engine.masking import MASK, Masker
from engine.model.execution import Execution, FlowRef, Moment
from engine.model.state import State

SECRET = 'p@ss "wörd"/+ 42'


@pytest.mark.parametrize(
    "disguised",
    [
        SECRET,
        json.dumps(SECRET)[1:-1],
        quote(SECRET, safe=""),
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(b"x" + SECRET.encode() + b"tail").decode(),
        base64.b64encode(b"xy" + SECRET.encode() + b"tail").decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
    ],
)
def test_every_disguise_is_masked(disguised: str) -> None:
    masker = Masker()
    masker.add(SECRET)
    masked = masker.text(f"before {disguised} after")
    assert MASK in masked
    assert masked.startswith("before ")
    assert SECRET not in masked
    assert base64.b64encode(SECRET.encode()).decode()[4:12] not in masked


def test_lines_of_a_long_secret_are_masked_one_by_one() -> None:
    masker = Masker()
    masker.add("-----BEGIN KEY-----\nline-one-of-it\nline-two-of-it\n")
    assert masker.text("it says line-two-of-it here") == f"it says {MASK} here"


def test_documents_are_masked_deeply_keys_too() -> None:
    masker = Masker()
    masker.add("topsecret")
    assert masker.value({"a": ["x topsecret"], "topsecret": 1, "n": None}) == {
        "a": [f"x {MASK}"],
        MASK: 1,
        "n": None,
    }


@given(st.text(min_size=3), st.text())
def test_whatever_was_added_never_comes_out(secret: str, around: str) -> None:
    masker = Masker()
    masker.add(secret)
    if secret not in MASK:
        assert secret not in masker.text(around + secret + around).replace(MASK, "")


def test_secret_inputs_never_stand_in_an_execution_document() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    execution = Execution(
        id="e",
        flow=FlowRef("n", "f"),
        history=(Moment(State.SUCCESS, at),),
        inputs={"token": "hush-hush", "plain": "seen"},
        outputs={"echo": "it was hush-hush"},
        secrets=("hush-hush",),
    )
    document = execution_document(execution)
    assert "hush" not in json.dumps(document)
    assert document["inputs"] == {"token": MASK, "plain": "seen"}
