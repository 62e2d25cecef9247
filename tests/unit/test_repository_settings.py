"""`.headwater.yaml`: what is accepted, and what each mistake is told and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.settings_file import MAX_BYTES, RepositorySettings, read_settings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("content", [None, b"", b"# nothing yet\n", b"{}\n"])
def test_without_settings_the_defaults_hold(content: bytes | None) -> None:
    read = read_settings(content, "main")
    assert read.problems == ()
    assert read.settings == RepositorySettings()
    assert read.settings.flows == ("flows", "_flows")
    assert read.settings.files == ("files", "_files")
    assert (read.settings.status.branch, read.settings.prune.breaker) == ("headwater/status", 0.5)


def test_all_settings_are_read() -> None:
    content = b"flows: [a/b, c/]\nfiles: [d]\nstatus:\n  branch: results\nprune:\n  breaker: 1\n"
    settings = read_settings(content, "main").settings
    assert settings is not None
    assert (settings.flows, settings.files) == (("a/b", "c"), ("d",))
    assert (settings.status.branch, settings.prune.breaker) == ("results", 1.0)


def test_folders_of_tests_and_plugin_defaults_are_settings() -> None:
    content = b"tests: [checks]\npluginDefaults:\n- {type: core.log, values: {level: WARN}, forced: true}\n"
    settings = read_settings(content, "main").settings
    assert settings is not None
    assert settings.tests == ("checks",)
    assert [(each.type, each.values, each.forced) for each in settings.plugin_defaults] == [
        ("core.log", {"level": "WARN"}, True)
    ]
    assert RepositorySettings.model_validate(settings.model_dump(mode="json", by_alias=True)) == settings


def test_the_example_repository_has_good_settings() -> None:
    content = (ROOT / "example-repo/.headwater.yaml").read_bytes()
    assert read_settings(content, "main").settings is not None


@pytest.mark.parametrize(
    ("content", "line", "where", "says"),
    [
        (b"flows: [flows]\nfolws: [x]\n", 2, "folws", "unknown setting; here belong `flows`"),
        (b"prune:\n  breaker: 0.5\n  limit: 1\n", 3, "prune.limit", "`breaker`"),
        (b"status:\n  name: x\n", 2, "status.name", "`branch`"),
        (b"pluginDefaults: {type: x}\n", 1, "pluginDefaults", "a list of `{type, values}`"),
        (
            b"pluginDefaults:\n- {type: x, values: {}, force: 1}\n",
            2,
            "pluginDefaults[0].force",
            "`type`, `values`, `forced`",
        ),
        (b"pluginDefaults:\n- {values: {}}\n", 2, "pluginDefaults[0].type", "required"),
        (b"prune:\n  breaker: 2\n", 2, "prune.breaker", "less than or equal to 1"),
        (b"prune:\n  breaker: lots\n", 2, "prune.breaker", "number"),
        (b"prune:\n  breaker: .nan\n", 2, "prune.breaker", "equal to"),
        (b"flows: flows\n", 1, "flows", "a list of folders"),
        (b"flows: []\n", 1, "flows", "one folder at least"),
        (b"flows:\n  - ok\n  - ../up\n", 3, "flows[1]", "from the repository's root"),
        (b"flows: [/abs]\n", 1, "flows[0]", "from the repository's root"),
        (b"flows: [.git/x]\n", 1, "flows[0]", "from the repository's root"),
        (b"flows: [.]\n", 1, "flows[0]", "from the repository's root"),
        (b"files: [3]\n", 1, "files[0]", "string"),
        (b"status: {branch: -x}\n", 1, "status.branch", "cannot be a branch"),
        (b"status: {branch: 'a..b'}\n", 1, "status.branch", "cannot be a branch"),
        (b"status: {branch: main}\n", 1, "status.branch", "the branch that is followed"),
        (b"- a\n", 0, "", "a map"),
        (b"flows: [a\n", 2, "", "not YAML"),
        (b"flows: [a]\nflows: [b]\n", 2, "flows", "duplicate key"),
        (b"\xff\xfe", 1, "", "UTF-8"),
        (b"#" * (MAX_BYTES + 1), 0, "", "too large"),
    ],
)
def test_each_mistake_is_told_with_its_place(content: bytes, line: int, where: str, says: str) -> None:
    read = read_settings(content, "main")
    assert read.settings is None
    (problem,) = read.problems
    assert (problem.path, problem.line, problem.property) == (".headwater.yaml", line, where)
    assert says in problem.message


def test_all_mistakes_are_told_at_once() -> None:
    read = read_settings(b"flows: [..]\nnope: 1\nprune:\n  breaker: -1\n", "main")
    assert sorted(problem.line for problem in read.problems) == [1, 2, 4]
