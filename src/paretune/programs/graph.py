"""The graph of a program: which modules run, in which order, and on what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paretune.errors import UsageError
from paretune.eventloop import all_ended
from paretune.programs.module import Module, Node, Symbol
from paretune.prompting.trace import Call, add_call, tracing

__all__ = ["Graph"]


class Graph:
    """The modules between input and output symbols. Raises UsageError when the two do not belong together."""

    def __init__(self, inputs: Sequence[Symbol], outputs: Sequence[Symbol]) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        if len(set(self.inputs)) < len(self.inputs):
            raise UsageError("one Input stands twice in the program's inputs")
        #: Each after those that it depends on.
        self.nodes = self._ordered()
        #: The same, in groups: the nodes of a group depend on earlier groups only, and run at the same time.
        self._groups = self._grouped()

    @property
    def modules(self) -> list[Module]:
        """The modules in the order of the nodes, each once."""
        return list(dict.fromkeys(node.module for node in self.nodes))

    async def run(self, records: Sequence[Any]) -> list[Any]:
        """The output records of one record an input; None where there is no valid one.

        Nodes that do not depend on each other run at the same time. Their calls stand in the trace in the order of the
        nodes, whichever came back first; of several errors, that of the first node is raised when all have ended.
        """
        if len(records) != len(self.inputs):
            raise UsageError(f"the program has {len(self.inputs)} inputs (got {len(records)} records)")
        given = dict(zip(self.inputs, records, strict=True))
        done: dict[Node, Any] = {}

        def value(symbol: Symbol) -> Any:
            if symbol in given or symbol.node is None:
                return given[symbol]
            result = done[symbol.node]
            return result if result is None or symbol.place is None else result[symbol.place]

        calls: dict[Node, list[Call]] = {}

        async def run(node: Node) -> None:
            values = [value(symbol) for symbol in node.inputs]
            with tracing() as calls[node]:
                done[node] = await (node.module(values) if node.listed else node.module(*values))

        try:
            for group in self._groups:
                await all_ended([run(node) for node in group])
        finally:
            for node in self.nodes:
                for call in calls.get(node, ()):
                    add_call(call)
        return [value(symbol) for symbol in self.outputs]

    def _grouped(self) -> list[list[Node]]:
        groups: list[list[Node]] = []
        place: dict[Node | None, int] = {}
        for node in self.nodes:
            sources = (symbol.node for symbol in node.inputs if symbol not in self.inputs)
            place[node] = 1 + max((place[source] for source in sources), default=-1)
            if place[node] == len(groups):
                groups.append([])
            groups[place[node]].append(node)
        return groups

    def _ordered(self) -> list[Node]:
        order: dict[Node, None] = {}
        reached: set[Symbol] = set()

        def visit(symbol: Symbol) -> None:
            if symbol in reached:
                return
            reached.add(symbol)
            if symbol in self.inputs:
                return
            if symbol.node is None:
                raise UsageError("the outputs depend on an Input that is not the program's own")
            for source in symbol.node.inputs:
                visit(source)
            order[symbol.node] = None

        for output in self.outputs:
            visit(output)
        if not reached.issuperset(self.inputs):
            raise UsageError("the outputs do not depend on the inputs")
        return list(order)
