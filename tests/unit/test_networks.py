"""Which addresses tasks of the daemon must not reach."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import SettingsError
from engine.networks import DEFAULT, networks, refuses
from headwater.settings import load


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "fe80::1%eth0",
        "::ffff:169.254.169.254",
        "2002:a9fe:a9fe::1",
        "64:ff9b::a9fe:a9fe",
        "fd00:ec2::254",
        "100.100.100.200",
        "no address",
        "",
    ],
)
def test_metadata_and_link_local_addresses_are_refused_in_every_notation(address: str) -> None:
    assert refuses(networks(DEFAULT), address)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "10.0.0.1", "93.184.216.34", "2606:2800::1", "fd00::1"]
)
def test_other_addresses_are_not(address: str) -> None:
    assert not refuses(networks(DEFAULT), address)


def test_the_operator_names_the_networks(tmp_path: Path) -> None:
    file = tmp_path / "headwater.toml"
    assert load(file_with(file, ""), {}).http.refused == networks(DEFAULT)
    refused = load(file_with(file, '[http]\nrefuse = ["10.0.0.0/8", "::1"]\n'), {}).http.refused
    assert refuses(refused, "10.1.2.3")
    assert refuses(refused, "::1")
    assert not refuses(refused, "169.254.169.254")
    with pytest.raises(SettingsError, match=r"http\.refuse"):
        load(file_with(file, '[http]\nrefuse = ["everything"]\n'), {})


def file_with(file: Path, text: str) -> Path:
    file.write_text(text)
    return file
