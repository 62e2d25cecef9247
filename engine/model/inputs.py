"""From what a caller gave to the typed inputs of an execution (dialect, section 1.3).

Pure: expressions are rendered by a callable that is handed in, files are stored by the caller beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.errors import ExpressionError, InputInvalid
from engine.model.condition import Render, is_true
from engine.model.input_types import TYPES, Chosen, FormInput
from engine.model.input_values import Input, SecretInput

if TYPE_CHECKING:
    from engine.model.flow import FlowOutput


def read_inputs(declared: Sequence[Input], given: Mapping[str, Any], render: Render) -> dict[str, Any]:
    """Check and convert what a caller gave against what a flow declares.

    Args:
        declared: the flow's inputs.
        given: values by input id, flat (`a.b`) or nested; ids that the flow does not declare are ignored,
            since triggers may hand over more than a flow wants.
        render: renders defaults, conditions and lists of values against `{"inputs": …}`.

    Returns:
        JSON values; dots in an id nest. An input that is switched off, or is optional and was not given, is
        absent.

    Raises:
        InputInvalid: with all problems, one a line.
    """
    reading = _Reading({each.id: each for each in flat(declared)}, given, render)
    for name in reading.declared:
        reading.read(name)
    if reading.problems:
        raise InputInvalid(
            "\n".join(reading.problems[name] for name in reading.declared if name in reading.problems)
        )
    return reading.nested()


def read_outputs(declared: Sequence[FlowOutput], render: Callable[[Any], Any]) -> dict[str, Any]:
    """Render and convert a flow's outputs (dialect, section 1.1).

    Args:
        declared: the flow's `outputs`.
        render: renders a value, typed.

    Raises:
        ExpressionError: one that is required cannot be rendered.
        InputInvalid: a value does not fit its type.
    """
    values: dict[str, Any] = {}
    for each in declared:
        try:
            value = render(each.value)
        except ExpressionError:
            if each.required:
                raise
            continue
        if value is None:
            continue
        try:
            values[each.id] = TYPES[each.type].model_construct(id=each.id, type=each.type).convert(value)
        except ValueError as error:
            raise InputInvalid(f"output `{each.id}`: {error}") from None
    return values


def flat(declared: Sequence[Input]) -> Iterator[Input]:
    """The inputs with those inside forms in place of the forms."""
    for each in declared:
        if isinstance(each, FormInput):
            yield from flat(each.inputs)
        else:
            yield each


def secrets_of(declared: Sequence[Input], values: Mapping[str, Any]) -> tuple[str, ...]:
    """The texts among read inputs that have to be masked."""
    found = []
    for each in flat(declared):
        if isinstance(each, SecretInput):
            value = _lookup(values, each.id)
            if isinstance(value, str) and value:
                found.append(value)
    return tuple(found)


def _lookup(values: Mapping[str, Any], name: str) -> Any:
    if name in values:
        return values[name]
    place: Any = values
    for part in name.split("."):
        if not isinstance(place, Mapping) or part not in place:
            return None
        place = place[part]
    return place


class _Reading:
    """One reading: inputs are read in order, those that others depend on first."""

    def __init__(self, declared: Mapping[str, Input], given: Mapping[str, Any], render: Render) -> None:
        self.declared = declared
        self.values: dict[str, Any] = {}
        self.problems: dict[str, str] = {}
        self._given = given
        self._render = render
        self._done: set[str] = set()

    def read(self, name: str) -> None:
        if name in self._done or name not in self.declared:
            return
        self._done.add(name)
        item = self.declared[name]
        for other in item.depends_on.inputs if item.depends_on else ():
            self.read(other)
        try:
            value = self._value(item)
        except (ValueError, ExpressionError) as error:
            self.problems[name] = f"input `{name}`: {error}"
            return
        if value is not None:
            self.values[name] = value

    def nested(self) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, value in self.values.items():
            *parents, last = name.split(".")
            place = result
            for part in parents:
                inner = place.setdefault(part, {})
                if not isinstance(inner, dict):
                    raise InputInvalid(f"input `{name}`: `{part}` is an input of its own; rename one of them")
                place = inner
            place[last] = value
        return result

    def _rendered(self, template: Any) -> Any:
        return self._render(template, {"inputs": self.nested()})

    def _value(self, item: Input) -> Any:
        condition = item.depends_on.condition if item.depends_on else None
        if condition is not None and not is_true(self._rendered(condition)):
            return None
        if isinstance(item, Chosen) and item.expression is not None:
            item = item.resolved(self._rendered(item.expression))
        value = _lookup(self._given, item.id)
        if value is None and item.defaults is not None:
            value = self._rendered(item.defaults)
        if value is None and isinstance(item, Chosen) and item.auto_select_first and item.values:
            value = item.values[0].value
        if value is None:
            if item.required:
                raise ValueError("a value is required; give one, or declare `defaults` or `required: false`")
            return None
        return item.convert(value)
