"""The flowable that runs its children for every value of a list, a map or a file (dialect, section 2.1, 2.0's Loop)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from engine.errors import UserError
from engine.model import shape
from engine.model.flow import FlowOutput
from engine.model.inputs import read_outputs
from engine.model.task import Carry, Context, Iteration, Settling, Verdict
from engine.tasks.blocks import Sequential
from engine.tasks.loops import MAX_VALUES, loop_entries
from engine.tasks.rows import Check, draft, in_thread, rows

_MOST_FETCHED = 8 << 20  # bytes of all outputs, as JSON
_FILES = ("kestra://", "headwater://", "nsfile://", "file://")


class Loop(Sequential, Settling):
    """Children in order for each of `values`, `concurrencyLimit` values at a time (0: all); a failure stops no other.

    Children see the value they are at as `item`, and each other's outputs without naming it. What is to be seen from
    outside are `outputs`, rendered when an iteration has ended well.
    """

    encloses: ClassVar[bool] = True

    values: Any
    concurrency_limit: int = Field(default=1, ge=0)
    transmit_failed: bool = True
    declared: tuple[FlowOutput, ...] = Field(default=(), alias="outputs")
    fetch_type: Literal["AUTO", "FETCH", "STORE"] = "AUTO"

    def evaluates(self) -> Mapping[str, Any]:
        """The values."""
        return {"values": self.values}

    def shape(self, values: Mapping[str, Any]) -> shape.Shape:
        """A loop. Raises UserError when the values are neither a list nor a map, or have nulls."""
        failure: Literal["note", "forgive"] = "note" if self.transmit_failed else "forgive"
        return shape.Each(loop_entries(values["values"]), limit=self.concurrency_limit, failure=failure)

    def outputs(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """`iterationCount`."""
        return {"iterationCount": len(loop_entries(values["values"]))}

    def looks_back(self, failed: bool) -> bool:
        """Always, to count and to render what its iterations give."""
        return True

    def outside(self, stage: int) -> bool:
        """Values may be the lines of a file; outputs of many iterations take time."""
        return stage > 0 or isinstance(self.values, str)

    async def settle(self, stage: int, context: Context, carry: Carry) -> Mapping[str, Any]:
        """The values, or what the iterations came to. Raises HeadwaterError."""
        if stage:
            return await asyncio.to_thread(self._results, context)
        found = context.value(self.values)
        if isinstance(found, str) and found.startswith(_FILES):
            return {"values": await in_thread(lambda check: _lines(context, found.strip(), check))}
        return {"values": found}

    def review(self, values: Mapping[str, Any], rounds: int, seconds: float) -> Verdict:
        """Outputs `runningIterations`, `terminatedIterations` and, if some are declared, `outputs` or their `uri`."""
        return Verdict(outputs=dict(values))

    def _results(self, context: Context) -> dict[str, Any]:
        counts: dict[str, int] = {}
        found = self._rendered(context, counts)
        if not self.declared:
            for _ in found:
                pass
            return {"runningIterations": 0, "terminatedIterations": counts}
        given = self._stored(context, found) if self._stores(context) else _fetched(found)
        return {**given, "runningIterations": 0, "terminatedIterations": counts}

    def _stores(self, context: Context) -> bool:
        if self.fetch_type == "AUTO" and isinstance(self.values, str):
            found = context.value(self.values)
            return isinstance(found, str) and found.startswith(_FILES)
        return self.fetch_type == "STORE"

    def _rendered(self, context: Context, counts: dict[str, int]) -> Iterator[dict[str, Any]]:
        """The item and the outputs of each iteration that ended well; counts all of them by their states."""
        for iteration in context.iterations():
            counts[iteration.state] = counts.get(iteration.state, 0) + 1
            if iteration.state.good and self.declared:
                yield {
                    "item": _item(iteration),
                    "outputs": read_outputs(self.declared, iteration.inside.value),
                }

    def _stored(self, context: Context, found: Iterator[dict[str, Any]]) -> dict[str, Any]:
        with draft() as target:
            for each in found:
                target.write(
                    json.dumps(each, ensure_ascii=False, default=str).encode("utf-8", "replace") + b"\n"
                )
            target.flush()
            return {"uri": context.store_file("outputs.jsonl", target.name)}


def _item(iteration: Iteration) -> dict[str, Any]:
    item = iteration.inside.value("{{ item }}")
    return {name: item[name] for name in ("value", "index", "key") if name in item}


def _fetched(found: Iterator[dict[str, Any]]) -> dict[str, Any]:
    size, outputs = 0, []
    for each in found:
        size += len(json.dumps(each, default=str))
        if size > _MOST_FETCHED:
            raise UserError(
                f"the outputs of the iterations are more than {_MOST_FETCHED >> 20} MiB",
                hint="say `fetchType: STORE`",
            )
        outputs.append(each)
    return {"outputs": outputs}


def _lines(context: Context, uri: str, check: Check) -> list[str]:
    found = []
    for row in rows(context.local_path(uri), b"\n", check):
        line = row.decode("utf-8", "replace").rstrip("\r")
        if line:
            found.append(line)
        if len(found) > MAX_VALUES:
            raise UserError(f"more than {MAX_VALUES} values are too many for one loop", hint="split the file")
    return found
