"""How a `type` in a flow file becomes the class that validates the rest: through the validation context.

The registry of plugins lives far above this package; whoever validates a flow hands it in as
`context={"types": registry}`. This module knows only the one method that it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol, TypeVar

from pydantic import BaseModel, ValidationError, ValidationInfo
from pydantic_core import InitErrorDetails, PydanticCustomError

from engine.errors import PluginError
from engine.type_names import GONE, canonical

Group = Literal["tasks", "triggers", "conditions"]
Model = TypeVar("Model", bound=BaseModel)


class Types(Protocol):
    """Knows the class behind a type name."""

    def find(self, group: Group, name: str) -> type[BaseModel] | None:
        """The class, or none when no plugin has that name. Raises PluginError when the plugin is broken."""
        ...

    def suggest(self, group: Group, name: str) -> str:
        """The known name nearest to an unknown one, or empty."""
        ...


def problem_at(location: tuple[str | int, ...], kind: str, message: str, value: Any) -> ValidationError:
    """A validation error of our own at `location`, relative to the value being validated.

    Args:
        kind: short identifier of the rule, such as `unknown_type`.
        message: for people; not a template.
        value: the input that is wrong.
    """
    error = PydanticCustomError("ours", "{message}", {"message": message, "kind": kind})
    details = InitErrorDetails(type=error, loc=location, input=value)
    return ValidationError.from_exception_data("flow", [details])


def resolver(group: Group, base: type[Model]) -> Callable[[Any, ValidationInfo], Model]:
    """A plain validator that lets the class named by `type` validate the mapping.

    Nested locations survive: pydantic keeps the lines of a ValidationError raised inside a validator.
    """
    word = group[:-1]

    def resolve(value: Any, info: ValidationInfo) -> Model:
        if isinstance(value, base):
            return value
        if not isinstance(value, Mapping):
            raise PydanticCustomError("ours", "{message}", {"message": f"a {word} is a map of properties"})
        name = value.get("type")
        if name is None:
            raise problem_at((), "missing_type", f"this {word} has no `type`", value)
        types: Types | None = info.context.get("types") if info.context else None
        if types is None:
            raise LookupError("a flow is validated with context={'types': registry}")
        try:
            found = types.find(group, name) if isinstance(name, str) else None
        except PluginError as error:
            raise problem_at(("type",), "broken_plugin", str(error), name) from None
        if found is None:
            if (instead := GONE.get(canonical(str(name)).short)) is not None:
                raise problem_at(("type",), "gone_type", f"`{name}` cannot run: {instead}", name)
            near = types.suggest(group, str(name))
            hint = f"; did you mean `{near}`?" if near else ""
            raise problem_at(("type",), "unknown_type", f"unknown type `{name}`{hint}", name)
        checked = found.model_validate(value, context=info.context)
        if not isinstance(checked, base):
            raise problem_at(("type",), "wrong_kind", f"`{name}` is not a {word}", name)
        return checked

    return resolve
