"""Flows ready to be stepped: from a version in the store to its graph, compiled once and kept while it is used."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from engine.errors import Bug, NotFound
from engine.machine.graph import Graph, build
from engine.model.execution import FlowRef
from engine.model.flow import Flow
from engine.model.records import FlowVersion
from engine.ports import Store
from engine.runtime.hearers import Hearers

_KEPT = 2000  # graphs; a daemon with more busy flows than this compiles some of them again


class Library:
    """Graphs by flow version.

    Args:
        store: where the versions are.
        compile: turns a version into a flow.
    """

    def __init__(self, store: Store, compile: Callable[[FlowVersion], Flow]) -> None:  # noqa: A002
        self._store = store
        self._compile = compile
        self._graphs: OrderedDict[tuple[str, str, int], Graph] = OrderedDict()
        self.hearers = Hearers()

    def graph(self, ref: FlowRef) -> Graph:
        """The graph of the version an execution is pinned to."""
        key = (ref.namespace, ref.id, ref.revision)
        if (found := self._graphs.get(key)) is not None:
            return found
        version = self._store.flow(*key)
        if version is None:
            raise Bug(
                f"revision {ref.revision} of flow {ref.name} is gone though an execution is pinned to it"
            )
        return self.keep(version)

    def of_version(self, version: FlowVersion) -> Graph:
        """The graph of a version at hand."""
        return self._graphs.get((version.namespace, version.id, version.revision)) or self.keep(version)

    def live(self, namespace: str, flow_id: str, revision: int | None = None) -> tuple[FlowVersion, Graph]:
        """The live version of a flow, or a given one. Raises NotFound."""
        version = self._store.flow(namespace, flow_id, revision)
        if version is None:
            which = f"revision {revision} of flow" if revision else "flow"
            raise NotFound(f"there is no {which} {namespace}.{flow_id}", hint="`headwater flows` lists them")
        return version, self.of_version(version)

    def keep(self, version: FlowVersion, flow: Flow | None = None) -> Graph:
        """Make the graph of a version ready, from its compiled flow where that is at hand."""
        graph = build(flow or self._compile(version))
        self._graphs[version.namespace, version.id, version.revision] = graph
        while len(self._graphs) > _KEPT:
            self._graphs.popitem(last=False)
        return graph
