"""A program as a table to read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from paretune.programs.generator import Generator
from paretune.programs.module import Module, Symbol, inner_modules

if TYPE_CHECKING:
    from paretune.programs.program import Program

__all__ = ["summary_text"]

_HEAD = ("module", "inputs", "output", "language model", "form", "examples")


def summary_text(program: Program) -> str:
    """One line a module: what goes in, what comes out, whom it asks and how; modules inside others are indented."""
    rows = [_HEAD, *_rows(program, "")]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    outputs = ", ".join(_fields(symbol) for symbol in program.outputs)
    trainable = len(program.generators)
    models = len({generator.language_model for generator in program.generators})
    return "\n".join(
        [
            f"Program {program.name!r}",
            *lines,
            f"inputs: {', '.join(_fields(symbol) for symbol in program.inputs)}",
            f"outputs: {outputs}",
            f"trainable modules: {trainable}, language models: {models}",
        ]
    )


def _rows(program: Program, indent: str) -> Iterator[tuple[str, ...]]:
    sources = {symbol: f"input {place}" for place, symbol in enumerate(program.inputs)}
    if len(sources) == 1:
        sources = dict.fromkeys(sources, "input")
    for node in program.graph.nodes:
        inputs = ", ".join(_source(symbol, sources) for symbol in node.inputs)
        yield _row(node.module, indent, inputs, node.module.output_models(*(part.data_model for part in node.inputs)))
        yield from _inner_rows(node.module, indent + "  ")


def _inner_rows(module: Module, indent: str) -> Iterator[tuple[str, ...]]:
    from paretune.programs.program import Program

    if isinstance(module, Program):
        yield from _rows(module, indent)
        return
    for inner in inner_modules(module):
        yield _row(inner, indent, "", inner.data_model if isinstance(inner, Generator) else None)


def _row(module: Module, indent: str, inputs: str, models: object) -> tuple[str, ...]:
    model = models[0] if isinstance(models, tuple) else models
    name = f"{indent}{module.name} ({type(module).__name__})"
    output = "" if model is None else getattr(model, "__name__", "")
    if not isinstance(module, Generator):
        return name, inputs, output, "", "", ""
    return name, inputs, output, module.language_model.model, module.structured_output, str(len(module.examples))


def _source(symbol: Symbol, sources: dict[Symbol, str]) -> str:
    if symbol.node is None or symbol in sources:
        return sources[symbol]
    return symbol.node.module.name + ("" if symbol.place is None else f" {symbol.place}")


def _fields(symbol: Symbol) -> str:
    return f"{symbol.data_model.__name__}({', '.join(symbol.data_model.model_fields)})"
