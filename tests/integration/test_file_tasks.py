"""Tasks on files of internal storage and of namespaces."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.model.execution import Execution
from engine.model.state import State
from engine.tasks import rows as row_files
from tests.support.engine import Engine, engine


class Files:
    """Namespace files that never change."""

    def files(self, namespace: str, commit: str) -> Mapping[str, bytes]:
        if namespace == "company.team":
            return {"conf/a b.txt": b"content of a", "main.py": b"print(1)", "q.sql": b"select 1"}
        return {"other.txt": b"o"} if namespace == "other" else {}


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Engine]:
    async with engine(tmp_path, namespace_files=Files()) as running:
        yield running


async def run(it: Engine, tasks: str) -> Execution:
    await it.deploy(f"id: f\nnamespace: company.team\ntasks:\n{tasks}", commit=tasks)
    done = await asyncio.wait_for(it.run("company.team.f"), 20)
    assert done.state is State.SUCCESS, it.messages(done)
    return done


async def failing(it: Engine, task: str) -> str:
    await it.deploy(f"id: f\nnamespace: company.team\ntasks:\n  - {{id: t, {task}}}\n", commit=task)
    done = await asyncio.wait_for(it.run("company.team.f"), 20)
    assert done.state is State.FAILED
    return done.runs["t"].error


def content(it: Engine, uri: str) -> str:
    return Path(it.service.around.files.local_path(uri)).read_text()


async def write(it: Engine, text: str) -> str:
    done = await run(
        it, f"  - {{id: w, type: core.storage.Write, extension: csv, content: {json.dumps(text)}}}\n"
    )
    uri = done.runs["w"].outputs["uri"]
    assert uri.endswith(".csv")
    return str(uri)


async def output(it: Engine, task: str) -> dict[str, Any]:
    return (await run(it, f"  - {{id: t, {task}}}\n")).runs["t"].outputs


async def test_files_are_written_measured_put_together_and_removed(it: Engine) -> None:
    one, two = await write(it, "1"), await write(it, "zwei")
    assert (await output(it, f"type: core.storage.Size, uri: '{two}'")) == {"size": 4}
    joined = await output(
        it, f"type: core.storage.Concat, files: ['{one}', '{two}'], separator: \"\\n\", extension: .txt"
    )
    assert content(it, joined["uri"]) == "1\nzwei\n"
    joined = await output(it, f'type: core.storage.Concat, files: \'["{one}", "{two}"]\'')
    assert content(it, joined["uri"]) == "1zwei"
    delete = f"type: core.storage.Delete, uri: '{one}'"
    assert [(await output(it, delete))["deleted"] for _ in range(2)] == [True, False]
    assert "there is no file" in await failing(it, delete + ", errorOnMissing: true")
    assert "there is no file" in await failing(it, f"type: core.storage.Size, uri: '{one}'")


@pytest.mark.parametrize(
    "uri",
    [
        "headwater:///../../etc/passwd",
        "kestra:///a/%2e%2e/%2e%2e/b",
        "headwater:///",
        "file:///etc/passwd",
        "x",
    ],
)
async def test_no_uri_leaves_the_storage(it: Engine, uri: str) -> None:
    assert await failing(it, f"type: core.storage.Size, uri: '{uri}'")
    await it.deploy(
        f"id: f\nnamespace: company.team\ntasks: [{{id: t, type: core.storage.Delete, uri: '{uri}'}}]\n",
        commit=uri,
    )
    done = await it.run("company.team.f")
    assert done.state is State.FAILED or done.runs["t"].outputs["deleted"] is False
    assert Path("/etc/passwd").exists()


@pytest.mark.parametrize(
    "text", ["", "a", "a\n", "a\nb\nc", "a\n\nb\n", "\n", "x" * 70_000 + "\ny\n" + "z" * 70_000]
)
async def test_rows_come_backwards(it: Engine, text: str) -> None:
    uri = await write(it, text)
    found = await output(it, f"type: core.storage.Reverse, from: '{uri}'")
    expected = text.removesuffix("\n").split("\n")[::-1] if text else []
    assert content(it, found["uri"]) == "".join(row + "\n" for row in expected)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("rows: 2", ["a1\nb2\n", "a3\nc4\n", "a5\n"]),
        ("partitions: 2", ["a1\na3\na5\n", "b2\nc4\n"]),
        ("partitions: '{{ 3 }}'", ["a1\nc4\n", "b2\na5\n", "a3\n"]),
        ("bytes: 6B", ["a1\nb2\n", "a3\nc4\n", "a5\n"]),
        ("bytes: 1KB", ["a1\nb2\na3\nc4\na5\n"]),
        ("regexPattern: '^([ab])'", ["a1\na3\na5\n", "b2\n"]),
    ],
)
async def test_a_file_is_split(it: Engine, how: str, expected: list[str]) -> None:
    uri = await write(it, "a1\nb2\na3\nc4\na5")
    found = await output(it, f"type: core.storage.Split, from: '{uri}', {how}")
    assert [content(it, each) for each in found["uris"]] == expected


async def test_many_parts_need_few_open_files(it: Engine) -> None:
    uri = await write(it, "\n".join(str(number) for number in range(1000)))
    found = await output(it, f"type: core.storage.Split, from: '{uri}', partitions: 300")
    assert len(found["uris"]) == 300
    assert content(it, found["uris"][7]) == "7\n307\n607\n907\n"


@pytest.mark.parametrize(
    "how",
    [
        "rows: 0",
        "rows: x",
        "bytes: much",
        "partitions: -1",
        "regexPattern: '('",
        "regexPattern: a",
        "rows: 1, separator: ''",
    ],
)
async def test_a_split_that_makes_no_sense_is_refused(it: Engine, how: str) -> None:
    uri = await write(it, "a\n")
    assert await failing(it, f"type: core.storage.Split, from: '{uri}', {how}")


async def test_a_row_without_end_is_refused(it: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_files, "LONGEST_ROW", 1000)
    uri = await write(it, "x" * 200_000)
    for type_ in ("Reverse", "DeduplicateItems", "FilterItems"):
        more = {"DeduplicateItems": ", expr: a", "FilterItems": ", filterCondition: a"}.get(type_, "")
        assert "a row has more than 1000 bytes" in await failing(
            it, f"type: core.storage.{type_}, from: '{uri}'{more}"
        )


ITEMS = '{"id": 1, "who": "a"}\n{id: 2, who: "b"}\n{"id": 3, "who": "a"}\n'


async def test_items_are_filtered_by_their_fields(it: Engine) -> None:
    uri = await write(it, ITEMS)
    task = f"type: core.storage.FilterItems, from: '{uri}', filterCondition: \"{{{{ who == 'a' }}}}\""
    found = await output(it, task)
    assert (found["processedItemsTotal"], found["droppedItemsTotal"]) == (3, 1)
    assert content(it, found["uri"]) == '{"id": 1, "who": "a"}\n{"id": 3, "who": "a"}\n'
    found = await output(it, task + ", filterType: EXCLUDE")
    assert content(it, found["uri"]) == '{id: 2, who: "b"}\n'


async def test_an_item_that_cannot_be_judged_is_treated_as_asked(it: Engine) -> None:
    uri = await write(it, ITEMS + '{"id": 4}\n')
    task = f"type: core.storage.FilterItems, from: '{uri}', filterCondition: \"{{{{ who == 'a' }}}}\""
    assert "who" in await failing(it, task)
    assert (await output(it, task + ", errorOrNullBehavior: INCLUDE"))["droppedItemsTotal"] == 1
    assert (await output(it, task + ", errorOrNullBehavior: EXCLUDE"))["droppedItemsTotal"] == 2
    assert "is no map" in await failing(it, task.replace(uri, await write(it, "[1]\n")))


async def test_the_last_of_equal_items_is_kept(it: Engine) -> None:
    uri = await write(it, ITEMS)
    found = await output(it, f"type: core.storage.DeduplicateItems, from: '{uri}', expr: '{{{{ who }}}}'")
    assert found == {"uri": found["uri"], "numKeys": 2, "processedItemsTotal": 3, "droppedItemsTotal": 1}
    assert content(it, found["uri"]) == '{id: 2, who: "b"}\n{"id": 3, "who": "a"}\n'


async def test_the_files_of_an_execution_are_purged(it: Engine) -> None:
    kept = await write(it, "of another execution")
    done = await run(
        it,
        """  - {id: a, type: core.storage.Write, content: a}
  - {id: b, type: core.storage.Write, content: b}
  - {id: purge, type: core.storage.PurgeCurrentExecutionFiles}
  - {id: there, type: core.output.OutputValues, values: {a: "{{ fileExists(outputs.a.uri) }}"}}
""",
    )
    assert done.runs["purge"].outputs == {"count": 2}
    assert done.runs["there"].outputs == {"values": {"a": False}}
    assert content(it, kept)


async def test_local_files_are_laid_out_and_kept(it: Engine) -> None:
    found = await output(it, "type: core.storage.LocalFiles, inputs: {a/b.txt: hello}, outputs: ['**.txt']")
    assert content(it, found["uris"]["a/b.txt"]) == "hello"


async def test_a_namespace_file_has_a_uri_that_everything_reads(it: Engine) -> None:
    done = await run(
        it,
        """  - id: uri
    type: core.output.OutputValues
    values:
      uri: "{{ fileURI('/conf/a b.txt') }}"
      text: "{{ read(fileURI('conf/a b.txt')) }}"
      size: "{{ fileSize(fileURI('q.sql')) }}"
  - {id: size, type: core.storage.Size, uri: "{{ fileURI('q.sql') }}"}
  - {id: nsfile, type: core.storage.Size, uri: "nsfile:///q.sql"}
  - id: script
    type: scripts.shell.Commands
    inputFiles: {in.txt: "{{ fileURI('conf/a b.txt') }}"}
    commands: ["cat in.txt", "cat {{ fileURI('main.py') }}"]
""",
    )
    assert done.runs["uri"].outputs["values"] == {
        "uri": "kestra:///company/team/_files/conf/a%20b.txt",
        "text": "content of a",
        "size": 8,
    }
    assert done.runs["size"].outputs == done.runs["nsfile"].outputs == {"size": 8}
    assert [*it.messages(done)][-2:] == ["content of aprint(1)"] or "content of aprint(1)" in it.messages(
        done
    )
    assert "there is no namespace file" in await failing(
        it, "type: core.storage.Size, uri: 'kestra:///other/_files/x'"
    )


async def test_namespace_files_are_downloaded_by_pattern(it: Engine) -> None:
    done = await output(
        it, "type: core.namespace.DownloadFiles, namespace: company.team, files: ['**.txt', main.py]"
    )
    assert {path: content(it, uri) for path, uri in done["files"].items()} == {
        "/conf/a b.txt": "content of a",
        "/main.py": "print(1)",
    }
    done = await output(
        it, "type: core.namespace.DownloadFiles, namespace: other, files: '**', destination: /in/"
    )
    assert list(done["files"]) == ["/in/other.txt"]


@pytest.mark.parametrize(
    "task",
    [
        "type: core.namespace.UploadFiles, files: {a: b}",
        "type: core.namespace.DeleteFiles, files: [a]",
        "type: core.storage.Delete, uri: 'kestra:///company/team/_files/q.sql'",
    ],
)
async def test_only_a_commit_changes_namespace_files(it: Engine, task: str) -> None:
    assert "only a commit changes" in await failing(
        it, task if "uri" in task else task + ", namespace: company.team"
    )
