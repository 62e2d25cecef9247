"""The operator's settings: where they come from, what overrides what, and what is said when they are wrong."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from engine.errors import SettingsError
from headwater.settings import Settings, debugging, load, remote_of, server_address

TOKEN = "a-long-enough-secret-token"


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(text: str, **environ: str) -> Settings:
    file = Path("headwater.toml")
    file.write_text(text)
    return load(None, {"HOME": "/home", **environ})


def refusal(text: str, **environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        written(text, **environ)
    return caught.value.message


def test_defaults_need_no_file() -> None:
    settings = load(None, {"HOME": "/somewhere"})
    assert settings.address == ("127.0.0.1", 8080)
    assert settings.data == Path("/somewhere/.local/state/headwater")
    assert settings.store_path == settings.data / "headwater.db"
    assert settings.sources == ()
    assert (settings.envs, settings.secrets.get("any", "X")) == ({}, None)


def test_state_goes_where_the_desktop_standard_says() -> None:
    assert load(None, {"HOME": "/h", "XDG_STATE_HOME": "/state"}).data == Path("/state/headwater")


def test_everything_a_file_can_say(tmp_path: Path) -> None:
    settings = written("""
        listen = "[::1]:0"
        data = "state"
        encryption_key = "a2V5"
        environment = "prod"
        url = "https://flows.example.org"
        default_runner = "docker"
        [store]
        path = "db/all.db"
        synchronous = "NORMAL"
        [globals]
        region = "eu"
        nested = { int = 2 }
        [api]
        token = "a-long-enough-secret-token"
        [[sources]]
        name = "prod"
        url = "ssh://git@example.org/flows.git"
        branch = "live"
        poll = "PT5M"
        credentials = { ssh_key = "keys/id", known_hosts = "accept-new" }
        hook = { forge = "github", secrets = ["long enough a secret"], repository = 42 }
        status = { branch = "other", url = "status.git" }
    """)
    (source,) = settings.sources
    assert settings.address == ("::1", 0)
    assert (settings.data, settings.store_path) == (tmp_path / "state", tmp_path / "db/all.db")
    assert settings.globals == {"region": "eu", "nested": {"int": 2}}
    assert (source.branch, source.poll) == ("live", 300.0)
    assert source.credentials.ssh_key == tmp_path / "keys/id"
    assert source.hook is not None
    assert source.hook.repository == "42"
    assert source.hook.plain_secrets == ("long enough a secret",)
    assert source.status.url == str(tmp_path / "status.git")
    assert remote_of(source).credentials.ssh_key_file == str(tmp_path / "keys/id")
    assert remote_of(source, source.status.url).scheme == "file"


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("origin.git", "{here}/origin.git"),
        ("../up/origin.git", "{here}/../up/origin.git"),
        ("/abs/origin.git", "/abs/origin.git"),
        ("file:///abs/origin.git", "file:///abs/origin.git"),
        ("git@example.org:flows.git", "git@example.org:flows.git"),
        ("https://example.org/flows.git", "https://example.org/flows.git"),
    ],
)
def test_only_relative_paths_begin_at_the_file(url: str, seen: str, tmp_path: Path) -> None:
    (source,) = written(f'[[sources]]\nname = "a"\nurl = "{url}"').sources
    assert source.url == seen.format(here=tmp_path)


def test_the_file_may_be_named_by_argument_or_variable(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "one.toml").write_text('environment = "one"')
    (folder / "two.toml").write_text('environment = "two"\ndata = "d"')
    (tmp_path / "headwater.toml").write_text('environment = "here"')
    named = {"HEADWATER_CONFIG": str(folder / "one.toml")}
    assert load(None, {}).environment == "here"
    assert load(None, named).environment == "one"
    assert load(folder / "two.toml", named).environment == "two"
    assert load(folder / "two.toml", named).data == folder / "d"


def test_variables_override_the_file() -> None:
    text = """
        listen = "127.0.0.1:1"
        [store]
        synchronous = "FULL"
        [[sources]]
        name = "main-flows"
        url = "https://example.org/flows.git"
    """
    settings = written(
        text,
        HEADWATER_LISTEN="0.0.0.0:2",
        HEADWATER_STORE__SYNCHRONOUS="NORMAL",
        HEADWATER_API__TOKEN=TOKEN,
        HEADWATER_GLOBALS__REGION="eu",
        HEADWATER_GLOBALS__BRACED="{not json",
        HEADWATER_SOURCES__MAIN_FLOWS__CREDENTIALS__TOKEN="s3cr3t",
        HEADWATER_SERVER="http://elsewhere",
    )
    assert settings.address == ("0.0.0.0", 2)
    assert settings.store.synchronous == "NORMAL"
    assert settings.globals == {"region": "eu", "braced": "{not json"}
    assert settings.sources[0].credentials.secret == "s3cr3t"
    assert remote_of(settings.sources[0]).credentials.password == "s3cr3t"


def test_sources_may_come_from_a_variable_alone() -> None:
    settings = load(None, {"HEADWATER_SOURCES": '[{"name": "a", "url": "/tmp/a.git", "poll": 5}]'})
    assert (settings.sources[0].name, settings.sources[0].poll) == ("a", 5.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lisen = 'x'", "headwater.toml: there is no setting `lisen`; did you mean `listen`?"),
        ("[api]\ntokn = 'x'", "api: there is no setting `tokn`; did you mean `token`?"),
        ("[[sources]]\nname = 'a'\nurl = '/a'\nbrnch = 'b'", "sources[0]: there is no setting `brnch`; did you"),
        ("[[sources]]\nname = 'a'", "sources[0].url: this setting is required"),
        ("[[sources]]\nname = '../a'\nurl = '/a'", "sources[0].name: "),
        ("[[sources]]\nname = 'a'\nurl = '/a'\npoll = 0", "sources[0].poll: "),
        ("[[sources]]\nname = 'a'\nurl = '/a'\n[[sources]]\nname = 'a'\nurl = '/b'", "two sources are named `a`"),
        ("[[sources]]\nname = 'a'\nurl = 'ext::sh -c x'", "source a: "),
        ("[[sources]]\nname = 'a'\nurl = 'https://u:hunter2@x/y'", "source a: "),
        ("[[sources]]\nname = 'a'\nurl = '/a'\nhook = { forge = 'githb', secrets = ['x'] }", "there is no forge"),
        ("[[sources]]\nname = 'a'\nurl = '/a'\nhook = { forge = 'github', secrets = [] }", "sources[0].hook.secrets"),
        ("listen = '8080'", "`8080` is no address to listen on"),
        ("listen = ':8080'", "is no address"),
        ("listen = '::1:8080'", "is no address"),
        ("listen = '127.0.0.1:70000'", "is no address"),
        ("listen = '0.0.0.0:8080'", "set `token` in the table [api]"),
        ("[api]\ntoken = 'short'", "api.token: a token has 16 characters or more"),
        ("store = 'x'", "store: "),
        ("listen = x", "Invalid value (at line 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_where_it_is(text: str, said: str) -> None:
    message = refusal(text)
    assert said in message
    assert "hunter2" not in message
    assert "pydantic" not in message


def test_all_that_is_wrong_is_said_at_once() -> None:
    message = refusal("lisen = 'x'\n[api]\ntokn = 'x'")
    assert "lisen" in message or "tokn" in message
    assert len(refusal("[[sources]]\nname = 'a'\n[api]\ntoken = 'x'").splitlines()) == 2


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"HEADWATER_LISTENN": "x"}, "there is no setting `listenn`; did you mean `listen`?"),
        (
            {"HEADWATER_SOURCES__OTHER__URL": "/x"},
            "HEADWATER_SOURCES__OTHER__URL: there is no source `other`",
        ),
        ({"HEADWATER_SOURCES": "[{"}, "HEADWATER_SOURCES: a list or a table is written as JSON"),
        ({"HEADWATER_LISTEN__PORT": "1"}, "HEADWATER_LISTEN__PORT: `listen` is a value, not a table"),
        ({"HEADWATER_CONFIG": "missing.toml"}, "missing.toml: No such file or directory"),
    ],
)
def test_wrong_variables_are_named(environ: dict[str, str], said: str) -> None:
    assert said in refusal('listen = "127.0.0.1:1"', **environ)


def test_secrets_are_never_shown() -> None:
    settings = written(
        f"encryption_key = 'hunter2'\n[api]\ntoken = '{TOKEN}'",
        HEADWATER_SOURCES='[{"name": "a", "url": "/a", "credentials": {"password": "hunter2"}}]',
        SECRET_X=base64.b64encode(b"hunter2").decode(),
    )
    shown = f"{settings!r} {settings} {settings.secrets!r} {settings.model_dump()}"
    assert "hunter2" not in shown
    assert TOKEN not in shown


def test_secrets_of_the_environment() -> None:
    wrapped = base64.encodebytes(b"p" * 120).decode()
    settings = load(None, {"SECRET_A": "cGFzc3dvcmQ=", "SECRET_LONG": wrapped, "SECRET_PLAIN": "not base64!"})
    assert settings.secrets.get("any.namespace", "a") == "password"
    assert settings.secrets.get("", "LONG") == "p" * 120
    assert settings.secrets.get("", "PLAIN") is None
    assert settings.secrets.undecodable == ("SECRET_PLAIN",)


def test_envs_lose_their_prefix() -> None:
    environ = {"ENV_REGION": "eu", "KESTRA_REGION": "us", "KESTRA_Zone": "b", "ENV_": "", "HOME": "/h"}
    assert load(None, environ).envs == {"region": "eu", "zone": "b"}


def test_what_clients_need_comes_from_the_environment() -> None:
    assert server_address({}) == ("http://127.0.0.1:8080", "")
    assert server_address({"HEADWATER_SERVER": "http://x", "HEADWATER_TOKEN": "t"}) == ("http://x", "t")
    assert [debugging({"HEADWATER_DEBUG": value}) for value in ("", "0", "1", "yes")] == [
        False,
        False,
        True,
        True,
    ]


def test_settings_do_not_change(tmp_path: Path) -> None:
    settings: Any = load(None, {})
    with pytest.raises(Exception, match="frozen"):
        settings.listen = "x"
