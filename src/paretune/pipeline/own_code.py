"""Code of the project's own that conf names as ``module:name``: found in the project's folder and its src/."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from paretune.errors import ConfigError
from paretune.import_closure import closure
from paretune.schemas.faults import did_you_mean

__all__ = ["load", "load_watched", "own_files"]

_WORD = r"[^\W\d]\w*"
_NAME = re.compile(rf"{_WORD}(\.{_WORD})*:{_WORD}")


def load(name: str, place: str) -> Any:
    """The object ``module:name``; its module is imported.

    Raises ConfigError (``place`` is the key that names it) where there is no such module or no such name in it. What
    the module itself raises is raised as it is.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{place}: must be module:name (got {name!r})")
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        modules = [file.stem for folder in _folders() for file in folder.glob("*.py")]
        raise ConfigError(
            f"{place}: no module {error.name!r} (got {name!r}; looked for in the project's folder and src/)"
            f"{did_you_mean(error.name, modules)}"
        ) from None
    if not hasattr(module, attribute):
        hint = did_you_mean(attribute, vars(module))
        raise ConfigError(f"{place}: module {module_name!r} has no {attribute!r}{hint}")
    return getattr(module, attribute)


def load_watched(name: str, source: str, place: str) -> Any:
    """The object ``module:name``, as ``load``; its module must be in the project, and DVC must watch it.

    Raises ConfigError unless ``source``, which DVC watches, is the module's file or a folder around it.
    """
    found = load(name, place)
    module_name = name.partition(":")[0]
    file = Path(getattr(sys.modules[module_name], "__file__", None) or module_name).resolve()
    here = Path.cwd().resolve()
    if file not in {path.resolve() for path in own_files([name])} or not file.is_relative_to(here):
        raise ConfigError(
            f"{place}: module {module_name!r} is not in the project's folder or src/, where its changes would be "
            f"noticed (got {name!r}); import it in a module of your own and name that"
        )
    if not file.is_relative_to((here / source).resolve()):
        raise ConfigError(
            f"layout.source: must be the file of {name!r}, or DVC would not notice its changes; "
            f"set it to {file.relative_to(here).as_posix()} (got {source!r})"
        )
    return found


def own_files(names: Iterable[str]) -> set[Path]:
    """The files that some ``module:name`` reach in the project's folder, its src/ and this package."""
    return {path for path in closure([name.partition(":")[0] for name in names], _folders()) if path.is_file()}


def _folders() -> tuple[Path, Path]:
    return Path.cwd(), Path.cwd() / "src"
