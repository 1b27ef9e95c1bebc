"""The graph of a program: which modules run, in which order, and on what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paretune.errors import UsageError
from paretune.programs.module import Module, Node, Symbol

__all__ = ["Graph"]


class Graph:
    """The modules between input and output symbols. Raises UsageError when the two do not belong together."""

    def __init__(self, inputs: Sequence[Symbol], outputs: Sequence[Symbol]) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        if len(set(self.inputs)) < len(self.inputs):
            raise UsageError("one Input stands twice in the program's inputs")
        #: In the order in which they run.
        self.nodes = self._ordered()

    @property
    def modules(self) -> list[Module]:
        """The modules in the order in which they run, each once."""
        return list(dict.fromkeys(node.module for node in self.nodes))

    async def run(self, records: Sequence[Any]) -> list[Any]:
        """The output records of one record an input; None where there is no valid one."""
        if len(records) != len(self.inputs):
            raise UsageError(f"the program has {len(self.inputs)} inputs (got {len(records)} records)")
        given = dict(zip(self.inputs, records, strict=True))
        done: dict[Node, Any] = {}

        def value(symbol: Symbol) -> Any:
            if symbol in given or symbol.node is None:
                return given[symbol]
            result = done[symbol.node]
            return result if result is None or symbol.place is None else result[symbol.place]

        for node in self.nodes:
            values = [value(symbol) for symbol in node.inputs]
            done[node] = await (node.module(values) if node.listed else node.module(*values))
        return [value(symbol) for symbol in self.outputs]

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
