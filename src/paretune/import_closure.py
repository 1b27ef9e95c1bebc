"""The code that a module can reach: all files of a project that importing it, or running it, may import.

A search is told from another by the code that it runs, and a stage of DVC depends on the code that it reaches: both are
this closure, never a list that somebody keeps.
"""

from __future__ import annotations

import ast
import functools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

__all__ = ["closure"]

_PACKAGE = Path(__file__).resolve().parent
_SOURCE = _PACKAGE.parent
#: A table of public names that are loaded for whoever uses them: its package itself reaches none of them.
_LAZY_TABLE = "lazy_names"
#: Most nodes of a syntax tree are these, which name no module: a search waits while all its code is looked through.
_LEAVES = (ast.Name, ast.Load, ast.Store)


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
    parts = module.split(".")
    if all(part.isidentifier() for part in parts):
        if parts[0] != _PACKAGE.name:  # beside an installed package stand all others
            folders = tuple(folder for folder in folders if folder != _SOURCE)
        for path in (os.path.join(folder, *parts) for folder in folders):
            for file in (f"{path}/__init__.py", f"{path}.py"):
                if os.path.isfile(file):
                    return Path(file)
    return None


@functools.cache
def _imports(file: Path) -> tuple[str, ...]:
    """All names in a file that may be those of modules."""
    return tuple(_named(ast.parse(file.read_text(encoding="utf-8"))))


def _named(tree: ast.AST) -> Iterator[str]:
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str):
                yield node.value
            continue
        if isinstance(node, ast.If) and _name(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        if isinstance(node, ast.Call) and _name(node.func) == _LAZY_TABLE:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.JoinedStr):
            yield from _inside(node.values[0])
        for field in node._fields:
            value = getattr(node, field)
            for part in value if type(value) is list else (value,):
                if isinstance(part, ast.AST) and type(part) not in _LEAVES:
                    waiting.append(part)


def _name(node: ast.AST) -> str | None:
    """The last part of a dotted name."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None


def _inside(begin: ast.AST) -> Iterator[str]:
    """The modules of this package whose names begin as an f-string does, where that is a package and a dot."""
    if isinstance(begin, ast.Constant) and isinstance(begin.value, str) and begin.value.endswith("."):
        folder = _SOURCE.joinpath(*begin.value.split("."))
        yield from (f"{begin.value}{file.stem}" for file in sorted(folder.glob("*.py")))
