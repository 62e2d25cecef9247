"""Which test files there are below some paths, and to which repository each belongs.

A path is a flows repository (then all files in its test folders count), a folder inside one, or a test file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.errors import FlowInvalid, NotFound
from headwater.flow_tests.suite import Read, read_suite
from headwater.trees import folders_of_tests, is_repository, read_file, yaml_files


def discover(paths: Sequence[Path]) -> dict[Path, list[Read]]:
    """The test files by the repository they test, each once.

    Raises:
        NotFound: a path does not exist, belongs to no repository, or holds no test.
        FlowInvalid: with the problems of a repository's `.headwater.yaml`.
    """
    found: dict[Path, dict[Path, Read]] = {}
    for path in paths:
        if not path.exists():
            raise NotFound(f"there is no file or folder `{path}`", hint="check the path")
        repository = _repository_of(path)
        files = list(_files(path, repository))
        if not files:
            raise NotFound(
                f"there is no test file below `{path}`",
                hint=f"tests are YAML files in {' or '.join(f'`{each}/`' for each in folders_of_tests(repository))}",
            )
        for file in files:
            found.setdefault(repository, {}).setdefault(file.resolve(), _read(file))
    return {repository: list(reads.values()) for repository, reads in found.items()}


def _files(path: Path, repository: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path == repository:
        for folder in folders_of_tests(repository):
            yield from yaml_files(repository / folder)
    else:
        yield from yaml_files(path)


def _repository_of(path: Path) -> Path:
    if path.is_dir() and is_repository(path):
        return path
    for parent in path.absolute().parents:
        if is_repository(parent):
            return parent
    raise NotFound(
        f"`{path}` lies in no flows repository", hint="flows are looked for in `flows/` beside `tests/`"
    )


def _read(file: Path) -> Read:
    try:
        return read_suite(read_file(file, str(file)).content, str(file))
    except FlowInvalid as error:
        return Read(str(file), None, error.problems)
