"""`headwater validate`, `render`, `flows --repo`, `plugins` and the exit codes that all commands share."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command import HELLO, Command


@pytest.fixture
def headwater(tmp_path: Path) -> Command:
    return Command(tmp_path)


BROKEN = "id: broken\nnamespace: company\ntasks:\n  - id: a\n    type: core.log.Lgo\n"


def test_problems_have_a_place_and_the_end_a_count(headwater: Command) -> None:
    headwater.repository(hello=HELLO, broken=BROKEN)
    ended = headwater("validate", "repo")
    *problems, summary = ended.out.splitlines()
    assert (ended.code, ended.err) == (1, "")
    assert problems[0].startswith("repo/flows/broken.yaml:5:11  ")
    assert "core.log.Log" in problems[0]
    assert summary.startswith("2 flows, 1 valid, 1 problem in 1 file (")


def test_a_valid_repository_is_one_line(headwater: Command) -> None:
    headwater.repository(hello=HELLO)
    ended = headwater("validate", "repo")
    assert ended.code == 0
    assert ended.out.startswith("1 flow, 1 valid (")


def test_json_has_the_shape_that_the_contract_says(headwater: Command) -> None:
    headwater.repository(hello=HELLO, broken=BROKEN)
    ended = headwater("validate", "--json", "repo")
    document = ended.document
    assert ended.code == 1
    assert list(document) == ["files", "flows", "problems"]
    assert document["files"] == 2
    assert {
        "path": "repo/flows/hello.yaml",
        "namespace": "company",
        "id": "hello",
        "valid": True,
    } in document["flows"]
    assert {flow["id"]: flow["valid"] for flow in document["flows"]} == {"hello": True, "broken": False}
    (problem,) = document["problems"]
    assert (problem["line"], problem["column"], problem["severity"]) == (5, 11, "error")
    assert sorted(problem) == ["column", "line", "message", "path", "property", "severity"]


def test_files_and_folders_may_be_mixed(headwater: Command) -> None:
    one = headwater.write("one.yml", HELLO)
    headwater.write("folder/deep/two.yaml", HELLO.replace("id: hello", "id: two"))
    headwater.write("folder/notes.txt", "no flow")
    headwater.write("folder/.hidden/three.yaml", "[")
    assert headwater("validate", str(one), "folder").out.startswith("2 flows, 2 valid")


def test_a_repository_says_itself_where_its_flows_are(headwater: Command) -> None:
    headwater.write("repo/.headwater.yaml", "flows: [jobs]\n")
    headwater.write("repo/jobs/hello.yaml", HELLO)
    headwater.write("repo/flows/other.yaml", BROKEN)
    assert headwater("validate", "repo").out.startswith("1 flow, 1 valid")
    headwater.write("repo/.headwater.yaml", "flws: [jobs]\n")
    ended = headwater("validate", "repo")
    assert ended.code == 1
    assert ended.out.startswith("repo/.headwater.yaml:1:1  ")


def test_one_flow_in_two_files_is_wrong_in_both(headwater: Command) -> None:
    headwater.repository(one=HELLO, two=HELLO)
    document = headwater("validate", "--json", "repo").document
    assert [problem["path"] for problem in document["problems"]] == [
        "repo/flows/one.yaml",
        "repo/flows/two.yaml",
    ]
    assert not any(flow["valid"] for flow in document["flows"])
    assert "company.hello is also in `repo/flows/two.yaml`" in document["problems"][0]["message"]


def test_files_that_must_not_be_read_are_problems(headwater: Command) -> None:
    repo = headwater.repository(hello=HELLO)
    (repo / "flows/link.yaml").symlink_to("/etc/passwd")
    headwater.write("repo/flows/large.yaml", "#" * (1 << 20) + "\n")
    ended = headwater("validate", "repo")
    assert ended.code == 1
    assert "repo/flows/link.yaml  this is a symbolic link" in ended.out
    assert "repo/flows/large.yaml  the file is larger than" in ended.out


def test_names_of_files_are_shown_and_not_obeyed(headwater: Command) -> None:
    headwater.write("repo/flows/evil\x1b[2J\n.yaml", BROKEN)
    ended = headwater("validate", "repo")
    assert ended.code == 1
    assert "\x1b" not in ended.out


@pytest.mark.parametrize("path", ["missing", "missing.yaml", "empty"])
def test_a_path_without_flows_is_refused(headwater: Command, path: str) -> None:
    (headwater.folder / "empty").mkdir()
    ended = headwater("validate", path)
    assert (ended.code, ended.out) == (1, "")
    assert f"`{path}`" in ended.err


def test_warnings_do_not_fail(headwater: Command) -> None:
    old = HELLO.replace("tasks:", "taskDefaults: []\ntasks:")
    headwater.repository(old=old)
    ended = headwater("validate", "repo")
    assert "warning: " in ended.out
    assert ended.code == 0


# render


def test_render_prints_text_or_a_value(headwater: Command) -> None:
    assert headwater("render", "{{ a.b + 1 }}-{{ c }}", "-v", "a.b=2", "-v", "c=x").out == "3-x\n"
    assert headwater("render", "{{ [1, 'a'] }}", "--typed").out == '[1, "a"]\n'
    wrong = headwater("render", "{{ missing }}")
    assert (wrong.code, wrong.out) == (1, "")
    assert "missing" in wrong.err
    assert headwater("render").code == 2


def test_render_answers_line_by_line(headwater: Command) -> None:
    lines = [
        {"template": "{{ n + 1 }}", "vars": {"n": 1}},
        {"template": "{{ n + 1 }}", "vars": {"n": 1}, "typed": True},
        {"template": "{{ nothing }}"},
        {"template": 5},
    ]
    ended = headwater("render", "--json", stdin="\n".join([*map(json.dumps, lines), "not json", ""]))
    first, second, third, fourth, fifth = map(json.loads, ended.out.splitlines())
    assert (first, second) == ({"result": "2"}, {"result": 2})
    assert all(list(answer) == ["error"] for answer in (third, fourth, fifth))
    assert ended.code == 0


# the rest


def test_flows_of_a_repository_are_listed(headwater: Command) -> None:
    headwater.repository(hello=HELLO)
    assert headwater("flows", "--repo", "repo").out == "company.hello  flows/hello.yaml\n"
    assert headwater("flows", "--repo", "repo", "--rev", "main", "--json").document == [
        {"namespace": "company", "id": "hello", "path": "flows/hello.yaml"}
    ]


def test_plugins_are_listed_by_group(headwater: Command) -> None:
    assert "runners  process\n" in headwater("plugins", "list", "runners").out
    assert "core.log.Log" in headwater("plugins", "list", "tasks", "--json").document["plugins"]["tasks"]
    wrong = headwater("plugins", "list", "task")
    assert (wrong.code, "did you mean `tasks`?" in wrong.err) == (1, True)


@pytest.mark.parametrize("arguments", [["frobnicate"], ["validate"], ["validate", "--nope", "x"], ["logs"]])
def test_wrong_usage_is_2(headwater: Command, arguments: list[str]) -> None:
    ended = headwater(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert "Usage: headwater" in ended.err


def test_help_and_version(headwater: Command) -> None:
    assert "validate" in headwater("--help").out
    assert headwater("--version").out.startswith("headwater ")


def test_doctor_says_what_is_there_and_what_is_next(headwater: Command) -> None:
    ended = headwater("doctor")
    assert ended.code == 0
    assert [line[0] for line in ended.out.splitlines()] == ["✓", "✓", "✓", "✓", "✓", "⚠"]
    assert not (headwater.folder / ".local").exists()


def test_doctor_looks_at_every_source(headwater: Command) -> None:
    headwater.repository(hello=HELLO)
    sources = [
        f'[[sources]]\nname = "{name}"\nurl = "{url}"\n' for name, url in (("a", "repo"), ("b", "gone"))
    ]
    headwater.write("headwater.toml", "\n".join(sources))
    ended = headwater("doctor", env={"SECRET_BAD": "not base64!"})
    lines = ended.out.splitlines()
    assert ended.code == 1
    assert any(line.startswith("✓ source a") and "main is at" in line for line in lines)
    assert any(line.startswith("✗ source b") for line in lines)
    assert any(line.startswith("⚠ secrets") and "SECRET_BAD" in line for line in lines)


def test_wrong_settings_stop_the_daemon_before_it_starts(headwater: Command) -> None:
    headwater.write("headwater.toml", "lisen = 1\n")
    ended = headwater("serve")
    assert (ended.code, ended.out) == (1, "")
    assert "there is no setting `lisen`; did you mean `listen`?" in ended.err
