"""The flowable that runs another flow for each batch of a file's rows (dialect, section 2.1).

It has three children that nobody wrote: one cuts the file, one has the child executions, one merges their outputs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, Literal

from pydantic import Field

from engine.model import shape
from engine.model.base import Document, Text
from engine.model.labels import Labels
from engine.model.task import Batches, Call, Context, Inline, InlineContext, Many, Task, TaskResult
from engine.tasks.blocks import Block
from engine.tasks.rows import draft, in_thread
from engine.tasks.storage import Split
from engine.tasks.subflow import Subflow

_TYPE = "io.kestra.plugin.core.flow.ForEachItem$ForEachItem"
_AT_ONCE = 200  # child executions whose outputs are read together


class Batch(Document):
    """How the rows are put into batches: of so many bytes, into so many parts, by a pattern, or of so many rows."""

    bytes_: Any = Field(default=None, alias="bytes")
    partitions: Any = None
    regex_pattern: Text | None = None
    rows: Any = 1
    separator: Text = "\n"

    def chosen(self) -> dict[str, Any]:
        """The one that counts, as the property of a Split, and the separator."""
        given = {
            "bytes": self.bytes_,
            "partitions": self.partitions,
            "regexPattern": self.regex_pattern,
            "rows": self.rows,
        }
        name, value = next((name, value) for name, value in given.items() if value is not None)
        return {name: value, "separator": self.separator}


class ForEachItem(Block):
    """Runs another flow for each batch of the rows of `items`; `{{ taskrun.items }}` is the URI of the batch.

    What the child executions came to is in the outputs of `<id>_items`, the URI of all their outputs in those of
    `<id>_merge`.
    """

    items: Text
    batch: Batch = Batch()
    namespace: Text
    flow_id: Text
    revision: int | None = Field(default=None, ge=1)
    inputs: dict[str, Any] | None = None
    labels: Labels = {}
    inherit_labels: bool = False
    wait: bool = True
    transmit_failed: bool = True
    schedule_date: Any = None
    restart_behavior: Literal["RETRY_FAILED", "NEW_EXECUTION"] = "RETRY_FAILED"

    @cached_property
    def _children(self) -> tuple[Task, ...]:
        call = Subflow(
            id=f"{self.id}_items",
            type=_TYPE + "Executable",
            namespace=self.namespace,
            flowId=self.flow_id,
            revision=self.revision,
            inputs=self.inputs,
            labels=self.labels,
            inheritLabels=self.inherit_labels,
            wait=self.wait,
            transmitFailed=self.transmit_failed,
            scheduleDate=self.schedule_date,
        )
        cut = {"id": f"{self.id}_split", "type": _TYPE + "Split", "from": self.items, **self.batch.chosen()}
        return (
            SplitItems.model_validate(cut),
            Items(id=call.id, type=call.type, each=call, source=f"{self.id}_split"),
            MergeOutputs(id=f"{self.id}_merge", type=_TYPE + "MergeOutputs", source=call.id),
        )

    def main(self) -> Mapping[str, Sequence[Task]]:
        """The three children that nobody wrote."""
        return {"tasks": self._children}

    def shape(self, values: Mapping[str, Any]) -> shape.Shape:
        """One after the other."""
        return shape.Sequence()


class SplitItems(Split):
    """Cuts the file into batches."""

    async def run(self, context: InlineContext) -> TaskResult:
        """Output `splits`: the URI of a list of the batches' URIs."""
        uris = (await super().run(context)).outputs["uris"]
        listing = "".join(f"{uri}\n" for uri in uris).encode()
        return TaskResult(
            outputs={"splits": await in_thread(lambda _: context.store_file("splits.txt", listing))}
        )


class Items(Many):
    """Has a child execution for each batch."""

    each: Subflow
    source: str

    def batches(self, context: Context) -> Batches:
        """As many as the list has lines."""
        return Batches(len(self._listed(context)), self.each.wait, self.each.transmit_failed)

    def call(self, context: Context, number: int) -> Call:
        """The child execution of a batch."""
        batch = self._listed(context)[number - 1]
        return self.each.call(context.seeing(items=batch, iteration=number))

    def _listed(self, context: Context) -> tuple[str, ...]:
        uri = context.value(f"{{{{ currentEachOutput(outputs['{self.source}']).splits }}}}")
        return _lines(context.local_path(str(uri)))


@lru_cache(maxsize=8)
def _lines(path: str) -> tuple[str, ...]:
    """The lines of a list of batches, which never changes once it is kept."""
    with open(path, encoding="utf-8") as file:
        return tuple(file.read().split())


class MergeOutputs(Inline):
    """Puts the outputs of all child executions into one file, as JSON, a line each."""

    source: str

    async def run(self, context: InlineContext) -> TaskResult:
        """Output `subflowOutputs`: the URI of the file; none when no child execution had outputs."""
        children = context.children_of(self.source)
        lines = 0
        with draft() as target:
            for start in range(0, len(children), _AT_ONCE):
                found = await context.control.outputs(children[start : start + _AT_ONCE])
                rows = [json.dumps(each, ensure_ascii=False) + "\n" for each in found if each]
                target.write("".join(rows).encode("utf-8", "replace"))
                lines += len(rows)
            target.flush()
            if not lines:
                return TaskResult()
            uri = await in_thread(lambda _: context.store_file("outputs.jsonl", target.name))
        return TaskResult(outputs={"subflowOutputs": uri})
