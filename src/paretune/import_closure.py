"""The code that a module can reach: all files of a project that importing it, or running it, may import.

A search is told from another by the code that it runs, and a stage of DVC depends on the code that it reaches: both are
this closure, never a list that somebody keeps.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

__all__ = ["closure"]

_SOURCE = Path(__file__).resolve().parent.parent
#: A table of public names that are loaded for whoever uses them: its package itself reaches none of them.
_LAZY_TABLE = "lazy_names"


def closure(modules: Iterable[str], folders: Sequence[Path] = ()) -> set[Path]:
    """The files that some modules (full names) can reach, packages' ``__init__`` included, in this package and in the
    ``folders`` given.

    Followed are imports at any depth of a file, but not those for type checkers only, and how a module is loaded late:
    strings that are its full name, and f-strings that begin with a package's name and a dot, for any module in it.
    """
    reached: set[Path] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        file = _find(name, (*folders, _SOURCE))
        if file is not None and file not in reached:
            reached.add(file)
            waiting += _imports(file)
            parts = name.split(".")
            waiting += [".".join(parts[:end]) for end in range(1, len(parts))]
    return reached


@functools.cache
def _find(module: str, folders: tuple[Path, ...]) -> Path | None:
    """The file of a module, by its full name."""
    if not all(part.isidentifier() for part in module.split(".")):
        return None
    for folder in folders:
        path = folder.joinpath(*module.split("."))
        for file in (path / "__init__.py", path.with_suffix(".py")):
            if file.is_file():
                return file
    return None


@functools.cache
def _imports(file: Path) -> tuple[str, ...]:
    """All names in a file that may be those of modules."""
    return tuple(_named(ast.parse(file.read_text(encoding="utf-8"))))


def _inside(begin: ast.AST) -> Iterator[str]:
    """The modules of this package whose names begin as an f-string does, where that is a package and a dot."""
    if isinstance(begin, ast.Constant) and isinstance(begin.value, str) and begin.value.endswith("."):
        folder = _SOURCE.joinpath(*begin.value.split("."))
        yield from (f"{begin.value}{file.stem}" for file in sorted(folder.glob("*.py")))


def _named(node: ast.AST) -> Iterator[str]:
    children = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
        children = list(node.orelse)
    elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(_LAZY_TABLE):
        children = []
    elif isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield str(node.module)
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.JoinedStr):
        yield from _inside(node.values[0])
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    for child in children:
        yield from _named(child)
