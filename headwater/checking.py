"""All flow files below some paths, checked: which flows they hold, and what is wrong with them.

A path is a flow file, a flows repository (then only its flow folders count, and its own settings are checked too), a
bare one (read at HEAD), or any other folder with YAML files. It must not know how a report is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from engine.errors import FlowInvalid, NotFound
from engine.model.problem import Problem
from engine.plugins import registry
from engine.spec.compile import Checked, check_flow
from headwater.trees import File, defaults_around, is_repository, read_file, read_tree, yaml_files
from reconciler.desired import read_flow
from reconciler.inventory import FlowFile


class Flow(NamedTuple):
    """What a file holds; namespace and id are empty where a refused file does not tell them."""

    path: str
    namespace: str
    id: str
    valid: bool


class Report(NamedTuple):
    """What was found. `problems` by file, line and column."""

    files: int
    flows: tuple[Flow, ...]
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> int:
        """How many problems refuse a file."""
        return sum(problem.severity == "error" for problem in self.problems)


def check(paths: Sequence[Path]) -> Report:
    """Check everything below the paths. Raises NotFound when one does not exist or holds no YAML file."""
    problems: list[Problem] = []
    records: dict[str, FlowFile] = {}
    for path in paths:
        found = list(_checked(path, problems))
        if not found and not problems:
            raise NotFound(f"there is no flow file below `{path}`", hint="flow files end in .yaml or .yml")
        records.update((record.path, record) for record in found)
    twice = list(_twice(records.values()))
    for record in records.values():
        problems.extend(record.problems)
    refused = {problem.path for problem in twice}
    flows = tuple(
        Flow(record.path, record.namespace, record.id, not record.refused and record.path not in refused)
        for record in records.values()
    )
    ordered = sorted(dict.fromkeys([*problems, *twice]), key=lambda each: (each.path, each.line, each.column))
    return Report(len(records), flows, tuple(ordered))


def check_bytes(content: bytes, path: str, defaults: str = "") -> Checked:
    """Check one file with the plugins that are installed, and the plugin defaults of its repository."""
    return check_flow(content, path, registry(), defaults)


def _checked(path: Path, problems: list[Problem]) -> Iterator[FlowFile]:
    for file, defaults in _files(path, problems):
        record, _ = read_flow(file.path, file.blob, file.content, check_bytes, defaults)
        yield record


def _files(path: Path, problems: list[Problem]) -> Iterator[tuple[File, str]]:
    """The files, each with the plugin defaults of its repository."""
    if not path.exists() and not path.is_symlink():
        raise NotFound(f"there is no file or folder `{path}`", hint="check the path")
    if path.is_dir() and is_repository(path):
        yield from _of_repository(path, problems)
        return
    try:
        defaults = defaults_around(path)
    except FlowInvalid as error:
        problems.extend(error.problems)
        return
    for each in yaml_files(path) if path.is_dir() else [path]:
        try:
            yield read_file(each, str(each)), defaults
        except FlowInvalid as error:
            problems.extend(error.problems)


def _of_repository(path: Path, problems: list[Problem]) -> Iterator[tuple[File, str]]:
    try:
        tree = read_tree(path)
    except FlowInvalid as error:
        problems.extend(_below(path, error.problems))
        return
    problems.extend(_below(path, tree.problems))
    for file in tree.flows:
        yield file._replace(path=str(path / file.path)), tree.defaults


def _below(folder: Path, problems: Iterable[Problem]) -> list[Problem]:
    return [msgspec.structs.replace(each, path=str(folder / each.path)) for each in problems]


def _twice(records: Iterable[FlowFile]) -> Iterator[Problem]:
    """A problem for each valid file whose flow is in another one too."""
    claims: dict[tuple[str, str], list[FlowFile]] = {}
    for record in records:
        if not record.refused:
            claims.setdefault((record.namespace, record.id), []).append(record)
    for (namespace, flow_id), claimants in claims.items():
        for record in claimants if len(claimants) > 1 else ():
            others = " and ".join(f"`{other.path}`" for other in claimants if other.path != record.path)
            message = f"the flow {namespace}.{flow_id} is also in {others}; give one of them another id"
            yield Problem(record.path, record.line, 1 if record.line else 0, "id", message)
