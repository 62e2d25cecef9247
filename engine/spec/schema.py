"""The JSON Schema of a flow file, written from the models and from what is installed: for editors, not for the engine.

Draft-07, as yaml-language-server reads it. A task's, trigger's, condition's or input's own properties are chosen by its
`type` with `if`/`then`, so that an error is told of that one type and not of all. Same installation, same bytes.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from engine.errors import PluginError
from engine.model.condition import Condition
from engine.model.flow import Flow
from engine.model.input_types import OLD_TYPES, TYPES
from engine.model.input_values import Input
from engine.model.task import Task
from engine.model.trigger import Trigger
from engine.model.types import Group
from engine.plugins import Registry
from engine.spec.annotations import Schema, described, names, of_field
from engine.spec.docstrings import about, summary
from engine.type_names import PREFIX, canonical, spellings

DRAFT = "http://json-schema.org/draft-07/schema#"
_GROUPS: dict[type[BaseModel], Group] = {Task: "tasks", Trigger: "triggers", Condition: "conditions"}
_HIDDEN = {"deprecated": True, "doNotSuggest": True}  # read, but offered by no editor


def flow_schema(types: Registry) -> Schema:
    """The schema of a flow file.

    Args:
        types: what is installed; a plugin that cannot be loaded is left out.
    """
    return _Schema(types).document()


class _Schema:
    """One schema in the making: definitions by name, each made when it is first referred to."""

    def __init__(self, types: Registry) -> None:
        self._types = types
        self._definitions: dict[str, Schema] = {}

    def document(self) -> Schema:
        flow = self._model(Flow)
        return {
            "$schema": DRAFT,
            "title": "Headwater flow",
            **flow,
            "definitions": dict(sorted(self._definitions.items())),
        }

    def _refer(self, model: type[BaseModel]) -> Schema:
        group = _GROUPS.get(model)
        if group is not None:
            return self._define(group[:-1], lambda: self._chosen(group))
        if model is Input:
            return self._define("input", self._inputs)
        name = f"{model.__module__}.{model.__qualname__}"
        return self._define(name, lambda: self._model(model))

    def _define(self, name: str, make: Any) -> Schema:
        if name not in self._definitions:
            self._definitions[name] = {}  # a model may hold itself
            self._definitions[name] = make()
        return {"$ref": f"#/definitions/{name}"}

    def _chosen(self, group: Group) -> Schema:
        """Any plugin of a group."""
        word = group[:-1]
        current: list[str] = []
        outdated: list[str] = []
        branches: list[tuple[list[str], Schema]] = []
        for name in self._types.names(group):
            try:
                model = self._types.find(group, name)
            except PluginError:
                continue
            if model is None:
                continue
            known = spellings(name)
            now = [each for each in known if not canonical(each).outdated]
            current.extend(sorted(now, key=lambda each: not each.startswith(PREFIX)))
            outdated.extend(each for each in known if canonical(each).outdated)
            branches.append((list(known), self._typed(f"{word}.{name}", model)))
        return _switch(f"The type of the {word}.", current, outdated, branches)

    def _inputs(self) -> Schema:
        """Any input of a flow."""
        branches = [([name], self._typed(f"input.{name}", model)) for name, model in TYPES.items()]
        current = [name for name in TYPES if name not in OLD_TYPES]
        return _switch("The type of the input's value.", current, list(OLD_TYPES), branches)

    def _typed(self, name: str, model: type[BaseModel]) -> Schema:
        return self._define(name, lambda: self._model(model, typed=True))

    def _model(self, model: type[BaseModel], *, typed: bool = False) -> Schema:
        words = about(model)
        properties: dict[str, Schema] = {}
        required: list[str] = []
        either: list[Schema] = []
        for name, field in model.model_fields.items():
            first, *older = names(name, field)
            # Which types there are is said once, where the choice is made.
            value = {} if typed and first == "type" else of_field(field, self._refer)
            default = _default(field)
            properties[first] = described(value, words.get(name, field.description or ""), **default)
            for old in older:
                properties[old] = described(value, f"The same as `{first}`.", doNotSuggest=True)
            if field.is_required() and older:
                either.append({"anyOf": [{"required": [each]} for each in (first, *older)]})
            elif field.is_required():
                required.append(first)
        schema: Schema = {"type": "object", "properties": properties}
        if required:
            schema["required"] = required
        if either:
            schema["allOf"] = either
        if model.model_config.get("extra") == "forbid":
            schema["additionalProperties"] = False
        return described(schema, summary(model))


def _switch(
    text: str, current: list[str], outdated: list[str], branches: list[tuple[list[str], Schema]]
) -> Schema:
    """An object whose `type` says which of the branches it has to fit."""
    choices: list[Schema] = [{"enum": current}]
    if outdated:
        choices.append({"enum": outdated, **_HIDDEN})
    return {
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"description": text, "anyOf": choices}},
        "allOf": [
            {"if": {"properties": {"type": {"enum": written}}, "required": ["type"]}, "then": schema}
            for written, schema in branches
        ],
    }


def _default(field: Any) -> dict[str, Any]:
    value = field.default
    if isinstance(value, bool | int | float) or (isinstance(value, str) and value):
        return {"default": value}
    return {}
