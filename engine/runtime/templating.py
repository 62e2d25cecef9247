"""What a templated task turns out to be: its `spec`, rendered and read as a task of its flow (dialect, section 2.4).

Rendered anew whenever an attempt is taken up, also one that a killed daemon left behind; a run that its runner still
knows is then adopted under the attempt's key, whatever the text says now.
"""

from __future__ import annotations

from engine.errors import FlowInvalid, UserError
from engine.machine.graph import Graph
from engine.model.execution import FlowRef
from engine.model.task import Context, Inline, Instant, Task, Templated, Work
from engine.plugins import registry
from engine.ports import Store
from engine.spec.compile import compile_task

_TOLD = 3  # problems of a text that are told


def described(task: Templated, store: Store, flow: FlowRef, graph: Graph, context: Context) -> Task:
    """The task to run: an `Instant`, an `Inline` or a `Work`.

    Plugin defaults of the flow and of its repository hold for it. Its own `runIf`, `retry`, `timeout` and the like
    are checked and not used: those of the templated task count.

    Raises:
        ExpressionError: the text cannot be rendered.
        UserError: it describes no task, or none that runs by itself.
    """
    text = context.render(task.spec)
    version = store.flow(flow.namespace, flow.id, flow.revision)
    defaults = version.defaults if version else ""
    try:
        found = compile_task(text, "spec", task.id, registry(), graph.flow.plugin_defaults, defaults)
    except FlowInvalid as error:
        said = "; ".join(str(problem) for problem in error.problems[:_TOLD])
        raise UserError(f"the rendered `spec` is no task: {said}", hint="correct `spec`") from None
    if not isinstance(found, Instant | Inline | Work):
        raise UserError(
            f"`spec` gives a task of type `{found.type}`, which does not run by itself",
            hint="give a script, a request or the like; flowable tasks, subflows and templated tasks stand in the flow",
        )
    return found
