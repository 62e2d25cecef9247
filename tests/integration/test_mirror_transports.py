"""The mirror over file, http and ssh: each shows the same revisions and refuses in the same words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import CredentialError, SettingsError, UnavailableError
from reconciler.remote import ACCEPT_NEW, Credentials, Remote
from reconciler.repository import Mirror
from tests.support.git_servers import GitHttpServer, GitSshServer, http_server, ssh_server
from tests.support.repositories import Author

SECRET = "s3cr3t/to:ken"


@pytest.fixture
def author(tmp_path: Path) -> Author:
    return Author(tmp_path / "remotes" / "flows.git")


@pytest.fixture
def http(tmp_path: Path) -> Iterator[GitHttpServer]:
    (tmp_path / "remotes").mkdir(exist_ok=True)
    with http_server(tmp_path / "remotes") as server:
        yield server


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitSshServer]:
    with ssh_server(tmp_path_factory.mktemp("sshd with space")) as server:
        yield server


@pytest.mark.parametrize("transport", ["file", "path", "http", "ssh"])
async def test_the_life_of_a_branch(
    transport: str, author: Author, http: GitHttpServer, ssh: GitSshServer, tmp_path: Path
) -> None:
    url = {
        "file": author.url,
        "path": str(author.path),
        "http": http.url("flows.git"),
        "ssh": ssh.url(author.path),
    }[transport]
    credentials = ssh.credentials if transport == "ssh" else None
    mirror = Mirror(tmp_path / "mirror.git", url, "main", credentials)

    assert await mirror.remote_revision() is None, "an empty repository has no such branch"
    assert await mirror.fetch() is None
    author.commit({"other": "x"}, branch="topic")
    assert await mirror.remote_revision() is None
    assert await mirror.fetch() is None

    first = author.commit({"flows/a.yaml": "id: a", "flows/b.yaml": "id: b"})
    assert await mirror.remote_revision() == first
    assert await mirror.fetch() == first == mirror.tip()
    second = author.commit({"flows/a.yaml": "id: a2", "flows/b.yaml": None})
    assert await mirror.fetch() == second
    assert sorted((c.path, c.new_blob is None) for c in mirror.changes(first, second)) == [
        ("flows/a.yaml", False),
        ("flows/b.yaml", True),
    ]
    assert mirror.is_ancestor(first, second)

    author.reset(first)
    forced = author.commit({"flows/c.yaml": "id: c"})
    assert await mirror.fetch() == forced
    assert not mirror.is_ancestor(second, forced)
    assert mirror.commit_info(second).subject == "Change", "what was live before stays readable"

    orphan = author.commit({"flows/z.yaml": "id: z"}, orphan=True)
    assert await mirror.fetch() == orphan
    assert not mirror.is_ancestor(forced, orphan)

    author.delete_branch()
    assert await mirror.remote_revision() is None
    assert await mirror.fetch() is None
    assert mirror.tip() is None
    author.reset(second)
    assert await mirror.fetch() == second


async def test_http_credentials(author: Author, http: GitHttpServer, tmp_path: Path) -> None:
    http.auth = ("robot", SECRET)
    revision = author.commit({"a": "1"})
    url = http.url("flows.git")
    right = Mirror(tmp_path / "right.git", url, "main", Credentials("robot", SECRET))
    assert await right.remote_revision() == revision
    assert await right.fetch() == revision
    for credentials in (None, Credentials("robot", "wrong-" + SECRET)):
        wrong = Mirror(tmp_path / "wrong.git", url, "main", credentials)
        for ask in (wrong.remote_revision, wrong.fetch):
            with pytest.raises(CredentialError) as caught:
                await ask()
            assert SECRET not in str(caught.value)
            assert "credentials" in caught.value.hint


async def test_a_redirect_to_another_host_takes_no_credentials_along(
    author: Author, http: GitHttpServer, tmp_path: Path
) -> None:
    author.commit({"a": "1"})
    http.auth = ("robot", SECRET)
    with http_server(tmp_path / "remotes") as trap:
        trap.auth = ("robot", SECRET)
        http.auth = None
        http.redirect_to = trap.origin
        mirror = Mirror(tmp_path / "m.git", http.url("flows.git"), "main", Credentials("robot", SECRET))
        with pytest.raises(CredentialError):
            await mirror.fetch()
        assert trap.seen, "the redirect was followed"
        assert all("Authorization" not in headers for _, _, headers in trap.seen)


async def test_ssh_credentials(author: Author, ssh: GitSshServer, tmp_path: Path) -> None:
    revision = author.commit({"a": "1"})
    good = ssh.credentials
    other_key = Credentials(ssh_key_file=str(ssh.folder / "other key"), known_hosts=good.known_hosts)
    empty = tmp_path / "known"
    empty.touch()
    unknown_host = Credentials(ssh_key_file=good.ssh_key_file, known_hosts=str(empty))
    for credentials, reason in ((other_key, "CredentialRefused"), (unknown_host, "HostKeyRefused")):
        with pytest.raises(CredentialError) as caught:
            await Mirror(tmp_path / "m.git", ssh.url(author.path), "main", credentials).fetch()
        assert caught.value.reason == reason

    at_first_sight = Credentials(ssh_key_file=good.ssh_key_file, known_hosts=ACCEPT_NEW)
    mirror = Mirror(tmp_path / "m.git", ssh.url(author.path), "main", at_first_sight)
    assert await mirror.fetch() == revision
    store = Path(f"{mirror.path}.known_hosts")
    assert "127.0.0.1" in store.read_text()
    store.write_text(f"[127.0.0.1]:{ssh.port} {(ssh.folder / 'other key.pub').read_text()}")
    with pytest.raises(CredentialError):
        await mirror.fetch()


async def test_the_remote_goes_and_comes_back(author: Author, http: GitHttpServer, tmp_path: Path) -> None:
    first = author.commit({"a": "1"})
    mirror = Mirror(tmp_path / "m.git", http.url("flows.git"), "main")
    assert await mirror.fetch() == first
    second = author.commit({"b": "\n".join(str(n) for n in range(5000))})
    for fault in ("error", "drop", "cut"):
        http.fault = fault
        with pytest.raises(UnavailableError) as caught:
            await mirror.fetch()
        assert caught.value.reason == "SourceUnavailable", caught.value
        assert mirror.tip() == first
        assert list(mirror.files(first))
    http.fault = ""
    assert await mirror.fetch() == second


async def test_a_hanging_remote_costs_the_time_allowed_and_no_more(
    author: Author, http: GitHttpServer, tmp_path: Path
) -> None:
    author.commit({"a": "1"})
    http.fault = "hang"
    mirror = Mirror(tmp_path / "m.git", http.url("flows.git"), "main", timeout=0.5)
    with pytest.raises(UnavailableError):
        await mirror.fetch()
    http.fault = ""
    http.released.set()
    assert await mirror.fetch() == author.head()


async def test_no_repository_and_no_server(http: GitHttpServer, tmp_path: Path) -> None:
    for url in (http.url("none.git"), f"file://{tmp_path}/none.git"):
        with pytest.raises(UnavailableError) as caught:
            await Mirror(tmp_path / "m.git", url, "main").fetch()
        assert caught.value.reason == "SourceNotFound"
    with pytest.raises(UnavailableError):
        await Mirror(tmp_path / "m.git", "http://127.0.0.1:1/x.git", "main").remote_revision()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "-oProxyCommand=touch x",
        "--upload-pack=touch x",
        "ext::sh -c touch% x",
        "ext::https://x",
        "fd::17/foo",
        "ftp://host/x",
        "ssh://-oProxyCommand=x/y",
        "-x@host:path",
        "relative/path",
        "https://user:pass@host/x.git",
        "https://host/x\n.git",
        "https:///x",
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Remote(url)
    assert "pass@" not in str(caught.value)


def test_schemes_can_be_forbidden() -> None:
    with pytest.raises(SettingsError):
        Remote("file:///x", allowed=("https", "ssh"))


@pytest.mark.parametrize(
    "branch", ["-x", "--upload-pack=x", "a..b", "a b", "a:b", "x*", "a\nb", "", "a.lock", "@{x"]
)
def test_branches_that_are_refused(branch: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        Mirror(tmp_path / "m.git", "/x", branch)


async def test_only_the_very_branch_counts(author: Author, tmp_path: Path) -> None:
    author.commit({"a": "1"}, branch="x/main")
    revision = author.commit({"a": "1"}, branch="seed")
    author.repository.references.create("refs/tags/main", revision)
    author.repository.references.create("refs/x/refs/heads/main", revision)
    mirror = Mirror(tmp_path / "m.git", author.url, "main")
    assert await mirror.remote_revision() is None
    assert await mirror.fetch() is None
