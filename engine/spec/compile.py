"""From the bytes of a flow file to a validated flow, or to all that is wrong with it at once.

Every problem has file, line, column and property, says what is wrong and, where it can, what was meant. This
module must not know where the bytes come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import msgspec
from pydantic import BaseModel, TypeAdapter, ValidationError

from engine.errors import ExpressionError, FlowInvalid
from engine.model.flow import AnyTask, Flow, PluginDefault
from engine.model.problem import Problem
from engine.model.task import Task
from engine.model.types import Types
from engine.spec import rules
from engine.spec.defaults import concerning, with_defaults
from engine.spec.document import Document, dotted, parse
from engine.spec.marks import Path
from engine.spec.messages import known_path, say

MAX_PROBLEMS = 100
_ONE: TypeAdapter[Task] = TypeAdapter(AnyTask)
_PROSE = frozenset({"description", "displayName"})


class Checked(msgspec.Struct, frozen=True):
    """What became of a flow file.

    Args:
        flow: none when one of the problems is an error.
        defaults: those of the repository's plugin defaults that it was made with.
    """

    flow: Flow | None
    problems: tuple[Problem, ...]
    defaults: str = ""


def compile_flow(content: bytes, path: str, types: Types, defaults: str = "") -> Flow:
    """The flow that a file describes.

    Args:
        content: the file's bytes.
        path: how problems name the file.
        types: the registry of plugins.
        defaults: plugin defaults of its repository, see `engine.spec.defaults`.

    Raises:
        FlowInvalid: with all problems of the file.
    """
    flow, problems = _compiled(parse(content, path), types, defaults)
    if flow is None:
        raise FlowInvalid(_ordered(problems))
    return flow


def compile_task(
    text: str, path: str, task_id: str, types: Types, own: Iterable[PluginDefault], defaults: str = ""
) -> Task:
    """The one task that a text describes, as if it stood in a flow.

    Args:
        text: YAML of a task.
        path: how problems name the text.
        task_id: its id, where the text gives none.
        types: the registry of plugins.
        own: the plugin defaults of the flow.
        defaults: plugin defaults of its repository, see `engine.spec.defaults`.

    Raises:
        FlowInvalid: with all problems of the text.
    """
    document = parse(text.encode("utf-8", "surrogatepass"), path)
    if not isinstance(document.data, Mapping):
        raise FlowInvalid([Problem(path, 1, 1, "", "a task is a map of properties; it begins with `type`")])
    rules_of_flow = [rule.model_dump(mode="json") for rule in own]
    merged = with_defaults({"pluginDefaults": rules_of_flow, "task": document.data}, defaults)
    data = {"id": task_id, **merged["task"]}
    try:
        return _ONE.validate_python(data, context={"types": types})
    except ValidationError as error:
        raise FlowInvalid(_ordered(said(document, data, error, Task, types))) from None


def check_flow(content: bytes, path: str, types: Types, defaults: str = "", *, warn: bool = True) -> Checked:
    """The flow, if it can be had, with errors and warnings: outdated names, expressions that do not parse.

    Args:
        warn: whether warnings are wanted.
    """
    try:
        document = parse(content, path)
    except FlowInvalid as error:
        return Checked(None, error.problems)
    flow, problems = _compiled(document, types, defaults)
    effective = concerning(document.data, defaults) if isinstance(document.data, Mapping) else ""
    if warn and isinstance(document.data, Mapping):
        findings = [*rules.warnings(document.data), *_bad_expressions(document.data, ())]
        problems.extend(_placed(document, findings, "warning"))
    return Checked(flow, _ordered(problems), effective)


def _compiled(document: Document, types: Types, defaults: str) -> tuple[Flow | None, list[Problem]]:
    data = document.data
    if not isinstance(data, Mapping):
        what = "the file is empty" if data is None else "a flow is a map of properties"
        return None, [Problem(document.path, 1, 1, "", f"{what}; it begins with `id`, `namespace`, `tasks`")]
    data = with_defaults(data, defaults)
    problems = _placed(document, rules.errors(data), "error")
    try:
        flow = Flow.model_validate(data, context={"types": types})
    except ValidationError as error:
        return None, [*problems, *said(document, data, error, Flow, types)]
    return (None if problems else flow), problems


def said(
    document: Document, data: Any, error: ValidationError, root: type[BaseModel], types: Types
) -> Iterator[Problem]:
    """What is wrong with a document's data, each at its place.

    Args:
        data: what was validated: the document's own, or with defaults merged in.
        root: the model that refused it.
    """
    for each in error.errors(include_url=False):
        missing = each["type"] == "missing"
        path = known_path(each["loc"], data, missing)
        message = say(each, path, data, root, types)
        if message is None:
            continue
        if not missing and not _stands(path, document.data):
            message += " (a plugin default gives it)"
        line, column = document.locate(path[:-1] if missing else path, key=each["type"] == "extra_forbidden")
        yield Problem(document.path, line, column, dotted(path), message)


def _stands(path: Path, data: Any) -> bool:
    """Whether there is something at a path of the data."""
    for part in path:
        try:
            data = data[part]
        except (LookupError, TypeError):
            return False
    return True


def _placed(
    document: Document, findings: Iterable[rules.Finding], severity: Literal["error", "warning"]
) -> list[Problem]:
    problems = []
    for finding in findings:
        line, column = document.locate(finding.path, key=finding.key)
        message = finding.message
        if finding.earlier is not None:
            message += f" (the other one is in line {document.locate(finding.earlier)[0]})"
        problems.append(Problem(document.path, line, column, dotted(finding.path), message, severity))
    return problems


def _ordered(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    found = sorted(dict.fromkeys(problems), key=lambda each: (each.line, each.column, each.property))
    if len(found) > MAX_PROBLEMS:
        more = f"{len(found) - MAX_PROBLEMS} more problems; fix these first"
        found = [*found[:MAX_PROBLEMS], Problem(found[0].path, 0, 0, "", more, found[0].severity)]
    return tuple(found)


def _bad_expressions(value: Any, path: Path) -> Iterator[rules.Finding]:
    from engine.expressions import compile as compile_expression

    if isinstance(value, str):
        if "{{" in value or "{%" in value:
            try:
                compile_expression(value)
            except ExpressionError as error:
                yield rules.Finding(path, f"this expression will fail: {error}")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _bad_expressions(item, (*path, place))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key not in _PROSE:
                yield from _bad_expressions(item, (*path, key))
