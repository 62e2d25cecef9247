"""What the pages show as `headwater.toml` is accepted as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from headwater.settings import load

HOWTO = Path(__file__).parents[2] / "docs" / "howto"


@pytest.mark.parametrize("page", ["set-up-a-daemon.md", "connect-a-forge.md"])
def test_the_settings_shown_are_valid(page: str, tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", (HOWTO / page).read_text(), re.DOTALL)
    file = tmp_path / "headwater.toml"
    file.write_text(example)
    (source,) = load(file, {}).sources
    assert source.name == "main"


def test_the_variables_shown_are_known() -> None:
    (example,) = re.findall(r"```sh\n(.*?)```", (HOWTO / "set-up-a-daemon.md").read_text(), re.DOTALL)
    shown = dict(line.split("=", 1) for line in example.splitlines())
    values = {name: "a-long-enough-token" if value == "…" else value for name, value in shown.items()}
    environ = {"HEADWATER_SOURCES": '[{"name": "main", "url": "/srv/flows.git"}]', **values}
    settings = load(None, environ)
    assert settings.address == ("0.0.0.0", 8080)
    assert settings.sources[0].credentials.secret == "a-long-enough-token"
