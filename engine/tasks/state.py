"""Tasks on a flow's own state, a map that outlives its executions (dialect, section 2.4); older than key-value pairs.

A state belongs to a flow, or with `namespace: true` to all flows of its namespace; inside a loop each value has its
own unless `taskrunValue` is false.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from engine.errors import NotFound, UserError
from engine.model.base import Text
from engine.model.input_values import as_text
from engine.model.task import Inline, InlineContext, TaskResult

MAX_BYTES = 4 << 20


class _State(Inline):
    name: Text = "default"
    namespace: Any = False
    taskrun_value: Any = True

    def _place(self, context: InlineContext) -> tuple[str, str]:
        """The space of the store, and the key in it."""
        shared = context.truthy(self.namespace)
        space = f"state/{context.namespace}" if shared else f"state/{context.namespace}/{context.flow_id}"
        name = context.render(self.name)
        value = context.value("{{ taskrun.value ?? null }}") if context.truthy(self.taskrun_value) else None
        if value is None:
            return space, name
        # A value may be of any length, a key should not be.
        return space, f"{name}/{hashlib.blake2b(as_text(value).encode(), digest_size=16).hexdigest()}"


class Set(_State):
    """Merges `data` into a state; maps in maps are merged too."""

    data: dict[str, Any] | None = None

    async def run(self, context: InlineContext) -> TaskResult:
        """Outputs `count`, how many entries the state then has, and `key`, its name in the store."""
        space, key = self._place(context)
        given = context.value(self.data or {})
        after: dict[str, Any] = {}

        def change(there: Mapping[str, Any]) -> Mapping[str, Any]:
            nonlocal after
            after = _merged(there.get(key) or {}, given)
            if len(msgspec.json.encode(after)) > MAX_BYTES:
                raise UserError(
                    f"the state `{key}` would have more than {MAX_BYTES} bytes", hint="keep less in it"
                )
            return {key: after}

        await context.control.keep(space, change, [key])
        return TaskResult(outputs={"count": len(after), "key": f"{space}/{key}"})


class Get(_State):
    """Gives a state back."""

    error_on_missing: Any = False

    async def run(self, context: InlineContext) -> TaskResult:
        """Outputs `data` and `count`; nothing of a state that is not there."""
        space, key = self._place(context)
        data = (await context.control.kept(space, [key])).get(key)
        if data is None and context.truthy(self.error_on_missing):
            raise _missing(key)
        data = data or {}
        return TaskResult(outputs={"data": data, "count": len(data)})


class Delete(_State):
    """Removes a state."""

    error_on_missing: Any = False

    async def run(self, context: InlineContext) -> TaskResult:
        """Output `deleted`: whether it was there."""
        space, key = self._place(context)
        found: list[bool] = []

        def change(there: Mapping[str, Any]) -> Mapping[str, Any]:
            found.append(key in there)
            return {key: None}

        await context.control.keep(space, change, [key])
        if not found[-1] and context.truthy(self.error_on_missing):
            raise _missing(key)
        return TaskResult(outputs={"deleted": found[-1]})


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(old)
    for name, value in new.items():
        before = result.get(name)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        result[name] = _merged(before, value) if both else value  # type: ignore[arg-type]
    return result


def _missing(key: str) -> NotFound:
    return NotFound(f"there is no state `{key}`", hint="set it, or leave `errorOnMissing` out")
