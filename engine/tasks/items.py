"""Tasks on the rows of a file whose rows are maps, in JSON or Ion (dialect, section 2.4).

The fields of a row are variables of the expressions that judge it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from engine.errors import ExpressionError, UserError
from engine.model.base import Text
from engine.model.condition import is_true
from engine.model.input_values import as_text
from engine.model.task import Inline, InlineContext, Metric, TaskResult
from engine.tasks.rows import Check, draft, in_thread, rows

MOST_KEYS = 5_000_000
_END = b"\n"


class FilterItems(Inline):
    """Keeps the rows that `filterCondition` holds for, or with EXCLUDE the others."""

    from_: Text = Field(alias="from")
    filter_condition: Any
    filter_type: Literal["INCLUDE", "EXCLUDE"] = "INCLUDE"
    error_or_null_behavior: Literal["FAIL", "INCLUDE", "EXCLUDE"] = "FAIL"

    async def run(self, context: InlineContext) -> TaskResult:
        """Outputs `uri`, `processedItemsTotal` and `droppedItemsTotal`."""
        return await in_thread(lambda check: self._filtered(context, check))

    def _filtered(self, context: InlineContext, check: Check) -> TaskResult:
        total = dropped = 0
        with draft() as target:
            for row in rows(context.local_path(context.render(self.from_).strip()), _END, check):
                if not row.strip():
                    continue
                total += 1
                if self._keeps(row, context):
                    target.write(row + _END)
                else:
                    dropped += 1
            target.flush()
            uri = context.store_file("filtered.ion", target.name)
        return _result(uri, total, dropped)

    def _keeps(self, row: bytes, context: InlineContext) -> bool:
        try:
            value = context.value_with(self.filter_condition, item(row))
        except ExpressionError:
            if self.error_or_null_behavior == "FAIL":
                raise
            value = None
        if value is not None:
            return is_true(value) == (self.filter_type == "INCLUDE")
        if self.error_or_null_behavior == "FAIL":
            raise UserError(
                f"`filterCondition` is null for the row `{_shown(row)}`", hint="set `errorOrNullBehavior`"
            )
        return self.error_or_null_behavior == "INCLUDE"


class DeduplicateItems(Inline):
    """Keeps of all rows with the same key, as `expr` gives it, only the last one."""

    from_: Text = Field(alias="from")
    expr: Any

    async def run(self, context: InlineContext) -> TaskResult:
        """Outputs `uri`, `numKeys`, `processedItemsTotal` and `droppedItemsTotal`."""
        return await in_thread(lambda check: self._deduplicated(context, check))

    def _deduplicated(self, context: InlineContext, check: Check) -> TaskResult:
        path = context.local_path(context.render(self.from_).strip())
        last: dict[bytes, int] = {}
        total = 0
        for number, row in enumerate(rows(path, _END, check)):
            if row.strip():
                total += 1
                last[self._key(row, context)] = number
            if len(last) > MOST_KEYS:
                raise UserError(f"there are more than {MOST_KEYS} keys", hint="split the file first")
        kept = set(last.values())
        with draft() as target:
            for number, row in enumerate(rows(path, _END, check)):
                if number in kept:
                    target.write(row + _END)
            target.flush()
            uri = context.store_file("deduplicated.ion", target.name)
        return _result(uri, total, total - len(kept), numKeys=len(last))

    def _key(self, row: bytes, context: InlineContext) -> bytes:
        value = context.value_with(self.expr, item(row))
        # A key may be of any length, and all are held at once.
        return hashlib.blake2b(as_text(value).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def item(row: bytes) -> Mapping[str, Any]:
    """The map that a row is, in JSON or Ion. Raises UserError."""
    try:
        found = json.loads(row)
    except (ValueError, RecursionError):
        found = _ion(row)
    if not isinstance(found, Mapping):
        raise UserError(f"the row `{_shown(row)}` is no map", hint="convert the file to one JSON map a line")
    return found


def _ion(row: bytes) -> Any:
    from amazon.ion import simpleion
    from amazon.ion.exceptions import IonException

    try:
        found = simpleion.loads(row)
    except (IonException, ValueError, RecursionError):
        return None
    return {str(key): _plain(value) for key, value in found.items()} if isinstance(found, Mapping) else None


def _plain(value: Any) -> Any:
    """Ion's own types as the plain ones they extend."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, bool):
        return value
    if type(value).__name__ in ("IonPyNull", "IonPyBool"):
        return None if type(value).__name__ == "IonPyNull" else bool(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _result(uri: str, total: int, dropped: int, **more: int) -> TaskResult:
    metrics = (
        Metric("processed.items.total", "counter", total),
        Metric("dropped.items.total", "counter", dropped),
    )
    outputs = {"uri": uri, "processedItemsTotal": total, "droppedItemsTotal": dropped, **more}
    return TaskResult(outputs=outputs, metrics=metrics)


def _shown(row: bytes) -> str:
    return row[:120].decode("utf-8", "replace")
